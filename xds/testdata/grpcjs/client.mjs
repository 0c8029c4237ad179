// Calls what the first argument names, every so many milliseconds as the second says, and tells whom it reached, until its output is closed.
// Its modules are those of the directory that it runs in.
import { createRequire } from 'node:module';

const require = createRequire(process.cwd() + '/');
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const nothing = () => Buffer.alloc(0);

process.stdout.on('error', () => process.exit());
setInterval(() => {
  client.makeUnaryRequest('/any/call', nothing, nothing, null, { deadline: Date.now() + 10_000 }, (error) => console.log('reached', error.details));
}, Number(process.argv[3]));
