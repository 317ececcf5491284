import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { PROJECT } from './cli.js';
import { goldenModel } from './models.js';

/** Where Debian's chromium package puts its software Vulkan driver. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

const OPEN = `
import { openSession } from '${pathToFileURL(`${PROJECT}dist/core/runtime/ort.js`).href}';
await openSession(${JSON.stringify(goldenModel('runtime', 'mlp'))}, { device: { kind: 'webgpu' } });
process.exit();
`;

/**
 * What the environment of a process must hold to run models on WebGPU here, or null where no adapter answers: a driver's file
 * alone does not say that its loader is there as well.
 */
export function webgpuEnvironment(): Record<string, string> | null {
  const software: Record<string, string> = existsSync(SWIFTSHADER) ? { VK_ICD_FILENAMES: SWIFTSHADER } : {};
  try {
    execFileSync(process.execPath, ['--input-type=module', '--eval', OPEN], {
      env: { ...process.env, ...software },
      stdio: 'ignore',
    });
    return software;
  } catch {
    return null;
  }
}
