// A thread of the model process (see child-main.ts). It is started as a worker, never imported: hence the work on load.
import { workerData } from 'node:worker_threads';

/** How long a model that is running may outlive the process that asked for it. */
const POLL_MS = 250;

// A process whose parent is gone gets another one. (Windows keeps the number: there the end of the channel has to do.)
setInterval(() => {
  if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL');
}, POLL_MS);
