import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

const hasMake = spawnSync('make', ['--version']).status === 0 && spawnSync('sha256sum', ['--version']).status === 0;

/** Stands for hpsv3: notes the command, and writes what it was asked for, by the content of what it reads. */
const STUB = `
[ "$1" = --version ] && { echo "\${STUB_VERSION:-1}"; exit 0; }
echo "$1" >> calls.log
[ "$1" = "$STUB_FAILS" ] && exit 3
before=
for argument in "$@"; do
  case "$before" in
    --out|--record|--out-model) outputs="$outputs $argument" ;;
    *) [ -f "$argument" ] && sums="$sums $(sha256sum < "$argument")" ;;
  esac
  before=$argument
done
case "$1" in
  data) outputs='build/fit.jsonl build/test.jsonl' ;;
  modelcard) mkdir -p build/card; outputs=build/card/SHA256SUMS ;;
esac
[ "$1" = quantize ] && [ -n "$STUB_SAME" ] && sums=same
for output in $outputs; do echo "$output $* $sums" > "$output"; done
`;

const ALL = ['export', 'data', 'quantize', 'batch', 'batch', 'calibrate', 'evaluate', 'modelcard', 'verify'].sort();

describe.skipIf(!hasMake)('the Makefile of the pipeline', () => {
  let folder = '';
  const at = (name: string) => join(folder, name);

  beforeEach(() => {
    folder = tempFolder();
    mkdirSync(at('ck'));
    for (const name of ['ck/model.safetensors', 'ck/config.json', 'labels.jsonl']) writeFileSync(at(name), name);
    writeFileSync(at('stub.sh'), STUB);
  });

  /** Commands that a run of make calls, sorted, and its exit code. */
  function make(env: Record<string, string> = {}, ...args: string[]): { calls: string[]; status: number | null } {
    writeFileSync(at('calls.log'), '');
    const given = ['HPSV3=sh stub.sh', 'CHECKPOINT=ck/model.safetensors', 'LABELS=labels.jsonl'];
    const { status } = spawnSync('make', ['-f', `${PROJECT}examples/pipeline/Makefile`, ...given, ...args], {
      cwd: folder,
      env: { ...process.env, ...env },
    });
    return { calls: readFileSync(at('calls.log'), 'utf8').split('\n').filter(Boolean).sort(), status };
  }

  it('redoes nothing the second time, nor where files are only touched', () => {
    expect(make()).toEqual({ calls: ALL, status: 0 });
    expect(make()).toEqual({ calls: [], status: 0 });
    for (const name of ['ck/model.safetensors', 'labels.jsonl', 'build/int8.onnx'])
      utimesSync(at(name), new Date(), new Date());
    expect(make()).toEqual({ calls: [], status: 0 });
  });

  it('redoes what hangs on a changed byte of the checkpoint, and not the split of the labels', () => {
    make();
    appendFileSync(at('ck/model.safetensors'), '!');
    expect(make().calls).toEqual(ALL.filter((call) => call !== 'data'));
    // Read beside the checkpoint; the stub makes the same of it, so that nothing after it is done again.
    appendFileSync(at('ck/config.json'), '!');
    expect(make().calls).toEqual(['export']);
  });

  it('redoes nothing after a step that gives the same bytes', () => {
    make({ STUB_SAME: 'yes' });
    appendFileSync(at('ck/model.safetensors'), '!');
    // The quantized file is as it was, so that scores, calibrator and record of it are, too.
    expect(make({ STUB_SAME: 'yes' }).calls).toEqual(['batch', 'evaluate', 'export', 'modelcard', 'quantize']);
  });

  it('redoes all for another setting or version', () => {
    make();
    expect(make({}, 'SEED=1').calls).toEqual(ALL);
    expect(make({ STUB_VERSION: '2' }, 'SEED=1').calls).toEqual(ALL);
  });

  it('ends with the step that fails, and goes on from there', () => {
    const { calls, status } = make({ STUB_FAILS: 'quantize' });
    expect(status).not.toBe(0);
    expect(calls).toContain('quantize');
    expect(calls).not.toContain('calibrate');
    expect(existsSync(at('build/int8.onnx'))).toBe(false);
    expect(make().calls).not.toContain('export');
  });
});
