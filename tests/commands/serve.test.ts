import { beforeAll, describe, expect, it } from 'vitest';
import { hpsv3, PROJECT } from '../helpers/cli.js';
import { tinyModel } from '../helpers/scoring.js';
import { startServer } from '../helpers/serving.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
let model: string;
beforeAll(async () => {
  model = await tinyModel(folder, 'text');
});

describe('hpsv3 serve', () => {
  it('answers what it has taken when it is asked to end, and ends with 0', async () => {
    const { child, url, ended } = await startServer(['serve', '--model', model, '--port', '0']);
    const rows = Array.from({ length: 100 }, (_, i) => ({ type: 'text', text: `row ${i}` }));
    const answers = Array.from({ length: 2 }, () =>
      fetch(`${url}/score`, { method: 'POST', body: JSON.stringify(rows) }).then(
        (response) => response.json() as Promise<{ logit: number }[]>,
      ),
    );
    await fetch(`${url}/livez`); // behind the two: they are there
    child.kill('SIGTERM');
    for (const answer of await Promise.all(answers))
      expect(answer.map(({ logit }) => typeof logit)).toEqual(rows.map(() => 'number'));
    expect(await ended).toBe(0);
  }, 45_000); // connections that clients keep are closed by then, and not only when they have been idle for 72 s

  it("is the user's own run_hpsv3 --mode serve, too", async () => {
    const program = `${PROJECT}bin/run_hpsv3.js`;
    const args = ['--mode', 'serve', '--model', model, '--port', '0', '--device', 'cpu'];
    const { child, url, ended } = await startServer(args, program);
    const body = JSON.stringify({ type: 'pair', left: 'a', right: 'b' });
    expect(await (await fetch(`${url}/score`, { method: 'POST', body })).json()).toMatchObject({ calibrated: false });
    child.kill('SIGINT');
    expect(await ended).toBe(0);
  });

  it('says why it cannot start', async () => {
    const missing = await hpsv3(['serve', '--model', 'absent.onnx']);
    expect(missing).toMatchObject({ code: 2 });
    expect(missing.stderr).toContain('absent.onnx');
    expect(await hpsv3(['serve', '--model', model, '--model', model])).toMatchObject({ code: 2 });
  });

  it('listens where other machines reach it with tokens alone, and says so', async () => {
    const open = await hpsv3(['serve', '--model', model, '--host', '0.0.0.0', '--port', '0']);
    const said = open.stderr.replace(/[\s›]+/g, ' ');
    expect(open.code, said).toBe(2);
    expect(said).toContain('0.0.0.0 can be reached from other machines, and no tokens say who may ask');
    expect(said).toContain('give its file as --tokens; or listen on 127.0.0.1');
  });
});
