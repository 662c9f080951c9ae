// azure_token.js SCOPE: a managed identity's token for it; prints when it ends.
import { ManagedIdentityCredential } from "@azure/identity";

const token = await new ManagedIdentityCredential().getToken(process.argv[2]);
console.log(JSON.stringify({ expires: token.expiresOnTimestamp }));
