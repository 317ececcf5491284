import { expect, it } from 'vitest';
import { killWhileVoting, latencies } from '../helpers/label-load.js';

it('100 kills while votes are cast: what was acknowledged is in the log, and nothing twice', async () => {
  const { kills, sent, acknowledged } = await killWhileVoting({ kills: 100, raters: 4, seed: 'slow' });
  expect(kills).toBe(100);
  expect(acknowledged).toBeGreaterThan(200);
  expect(sent).toBeGreaterThanOrEqual(acknowledged);
});

it('20 raters at once and 2,000 votes: 19 of 20 acknowledgements come within 100 ms', async () => {
  const { p50, p95, votes } = await latencies({ raters: 20, votes: 2000 });
  process.stderr.write(`acknowledged after ${p50.toFixed(1)} ms (median), ${p95.toFixed(1)} ms (19 of 20)\n`);
  expect(votes).toBe(2000);
  expect(p95).toBeLessThanOrEqual(100); // the promise itself, on a machine that does nothing else
});
