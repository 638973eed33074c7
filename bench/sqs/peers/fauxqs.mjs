// Serves SQS with fauxqs: a port and, where it is to keep messages in SQLite, a directory. Its own commands write
// two lines of log for every request, which we do not want to measure.
import { startFauxqs } from "fauxqs";

const [port, dataDir] = process.argv.slice(2);
await startFauxqs({ port: Number(port), dataDir, logger: false });
