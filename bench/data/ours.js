// Reads JSONL labels as every fitting command does. Prints the seconds that took.
import { FileSource } from '../../dist/core/bytes/source.js';
import { fileInput } from '../../dist/core/data/input.js';
import { readLabels } from '../../dist/core/data/read-labels.js';

const start = performance.now();
const { table, report } = await readLabels(fileInput(FileSource.open(process.argv[2])));
const seconds = (performance.now() - start) / 1000;
if (report.badRows > 0 || table.count === 0) throw new Error(`${report.badRows} bad rows of ${table.count}`);
console.log(seconds);
