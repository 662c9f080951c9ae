// The SDK's own way to the instance role's credentials; prints the key id.
import { fromInstanceMetadata } from "@aws-sdk/credential-providers";

const credentials = await fromInstanceMetadata({ timeout: 2000, maxRetries: 1 })();
console.log(JSON.stringify({ access_key: credentials.accessKeyId }));
