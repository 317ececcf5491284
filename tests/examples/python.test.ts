import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { collect, HPSV3, PROJECT } from '../helpers/cli.js';
import { tinyModel, writePicture } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

/** The user's own programs, word for word but for the device, of which this machine may have none. */
const PAIR = `
from hpsv3 import HPSv3Scorer

scorer = HPSv3Scorer(device="cpu", mode="pairwise")
left = {"image": "path/to/a.jpg"}
right = {"image": "path/to/b.jpg"}
score = scorer.score_pair(left, right, task="quality")
print("Preference score", score)
`;
const BATCH = `
from hpsv3 import HPSv3Scorer
scorer = HPSv3Scorer(device="cpu", batch_size=32)
samples = [{"text": t} for t in open("texts.txt")]
scores = scorer.score_batch(samples, task="style")
print(scores)
`;
const REST = `
import os, signal
from hpsv3 import HPSv3Scorer, ScoringError
with HPSv3Scorer(batch_size=4) as scorer:
    texts = [f"row {i}" for i in range(40)]
    expected = scorer.score_batch(texts)
    taken = []
    for i, score in enumerate(scorer.score_stream(texts)):
        taken.append(score)
        if i == 5:
            os.kill(scorer._workers[False]._process.pid, signal.SIGKILL)
    assert taken == expected and [one.id for one in taken] == [str(i + 1) for i in range(40)]
    pair = scorer.score_pair("a", "b")
    assert pair.winner in ("left", "right") and 0 < pair < 1 and scorer.score_batch([("a", "b")]) == [pair]
    assert len(scorer.embed({"text": "a"})) == 16 and scorer.embed(["a", "b"])[0] == scorer.embed("a")
    failed = scorer.score_batch(["a", {"type": "image", "image": "a.png"}, "a"], errors="return")
    assert isinstance(failed[1], ScoringError) and failed[1].code == "DATA_INVALID" and failed[0] == failed[2]
    try:
        scorer.score_batch([{"left": "a"}])
        raise AssertionError("a pair without a right side was scored")
    except ScoringError as error:
        assert error.code == "FIELD_MISSING"
    assert scorer.score_pair("a", "b") == pair
print("all held")
`;

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// Skipped where there is no Python 3.9: nothing else of the product needs one.
describe.skipIf(!hasPython())('examples/python/hpsv3.py', () => {
  const folder = sharedFolder();
  let models = { image: '', text: '' };
  beforeAll(async () => {
    models = { image: await tinyModel(folder, 'image'), text: await tinyModel(folder, 'text') };
    copyFileSync(`${PROJECT}examples/python/hpsv3.py`, join(folder, 'hpsv3.py'));
  }, 60_000);

  const python = (program: string, model: string) =>
    collect(
      spawn('python3', ['-c', program], {
        cwd: folder,
        env: {
          ...process.env,
          NODE_ENV: undefined,
          HPSV3_MODEL: model,
          HPSV3_COMMAND: `"${process.execPath}" "${HPSV3}"`,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );

  it("runs the user's program for a pair", async () => {
    await writePicture(folder, 'a.png', 1);
    await writePicture(folder, 'b.png', 2);
    const { stdout, stderr } = await python(
      PAIR.replace('path/to/a.jpg', 'a.png').replace('path/to/b.jpg', 'b.png'),
      models.image,
    );
    expect(stdout, stderr).toMatch(/^Preference score 0\.\d+\n$/);
  });

  it("runs the user's program for a batch", async () => {
    writeFileSync(join(folder, 'texts.txt'), 'The kitten sits on the moon.\nand hums\n');
    const { stdout, stderr } = await python(BATCH, models.text);
    expect(stdout, stderr).toMatch(/^\[-?0\.\d+, -?0\.\d+\]\n$/);
  });

  it('replaces a worker that is killed, keeps the order, and names what cannot be scored', async () => {
    const { stdout, stderr } = await python(REST, models.text);
    expect(stdout, stderr).toBe('all held\n');
  });
});
