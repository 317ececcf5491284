#!/usr/bin/env node
import { createRequire } from 'node:module';

const [first, second] = process.argv.slice(2);
if (first === '--version' && second === undefined) {
  // The commonest question asked by scripts, answered without loading the framework.
  const { name, version } = createRequire(import.meta.url)('../package.json');
  console.log(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}`);
} else {
  const { runCli } = await import('../dist/core/cli/run.js');
  await runCli(import.meta.url);
}
