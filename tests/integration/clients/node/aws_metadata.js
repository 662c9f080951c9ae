// aws_metadata.js PATH: what MetadataService reads there.
import { MetadataService } from "@aws-sdk/ec2-metadata-service";

const service = new MetadataService({ httpOptions: { timeout: 2000 } });
console.log(await service.request(process.argv[2], {}));
