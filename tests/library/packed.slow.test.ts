import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { drawPairs, writeJudged } from '../helpers/judged.js';
import { tempFolder } from '../helpers/temp.js';

const PROGRAM = `import { HpsError } from 'hpsv3';
import { calibrateFiles, evaluateFiles, exportModel, makeModelCard, type ExportReport } from 'hpsv3/lifecycle';

const judged = { scores: 'scores.jsonl', labels: 'labels.jsonl' };
const exported: ExportReport = await exportModel({ checkpoint: 'mini/model.safetensors', out: 'model.onnx' });
const calibrated = await calibrateFiles({ ...judged, out: 'calibrator.json' });
const evaluated = await evaluateFiles({ ...judged, calibrator: 'calibrator.json', out: 'report.json' });
const card = await makeModelCard({ model: 'model.onnx', evaluations: ['report.json'], out: 'card' });
const refusal = await exportModel({ checkpoint: 'none', out: 'x.onnx' }).catch((e) => (e instanceof HpsError ? e.code : e));
console.log(JSON.stringify([exported.gate?.passed, calibrated.n, evaluated.calibrated, card.files.length > 3, refusal]));
`;

/** Puts the package as npm packs it into node_modules of a folder, with its dependencies. */
function install(folder: string): void {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      cwd: PROJECT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'hpsv3'), { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', join(modules, 'hpsv3'), '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(modules, 'hpsv3/package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(PROJECT, 'node_modules', name), join(modules, name));
  }
}

it('runs a strict TypeScript program against the packed package, in a folder of its own', () => {
  const folder = tempFolder();
  install(folder);
  cpSync(`${PROJECT}checkpoints/hpsv3-mini-a`, join(folder, 'mini'), { recursive: true });
  writeJudged(folder, drawPairs({ prompts: 40, truth: 0.6 }));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(join(folder, 'program.ts'), PROGRAM);
  const compilerOptions = { strict: true, module: 'nodenext', target: 'es2023', types: ['node'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }));
  execFileSync(process.execPath, [`${PROJECT}node_modules/typescript/bin/tsc`, '-p', '.'], {
    cwd: folder,
    stdio: 'inherit',
  });
  const printed = execFileSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8' });
  expect(JSON.parse(printed)).toEqual([true, 120, true, true, 'FILE_NOT_FOUND']);
});
