// The child process of a fuzz run: one input after the other, told of before it is read.
import { inputOf } from './mutate.js';
import { readInput, SELF_TESTS, TARGETS } from './targets.js';

const [name, seed, start] = process.argv.slice(2);
const target = { ...TARGETS, ...SELF_TESTS }[name];
for (let iteration = Number(start); ; iteration++) {
  const input = inputOf(target, name, seed, iteration);
  process.send({ iteration });
  const error = await readInput(target, input);
  if (error) process.send({ iteration, error: error.text, kind: error.kind });
  if (iteration % 64 === 0) await new Promise(setImmediate);
}
