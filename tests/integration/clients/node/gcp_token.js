// The default service account's token; prints its type.
import gcp from "gcp-metadata";

const token = await gcp.instance("service-accounts/default/token");
console.log(JSON.stringify({ type: token.token_type }));
