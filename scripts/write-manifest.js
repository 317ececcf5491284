// Writes oclif.manifest.json, as `oclif manifest` does: with it a command starts without loading the others. And
// dist/root-help.txt and dist/first-steps.txt, the texts of `hpsv3 --help` and of `hpsv3` alone off a terminal, which
// bin/run.js then prints without loading oclif.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { usage } from './command-pages.js';

// Read when oclif loads: what it prints where there is no terminal.
delete process.env.FORCE_COLOR;
Object.assign(process.env, { OCLIF_COLUMNS: '80', NO_COLOR: '1' });
const { Config, Plugin } = await import('@oclif/core');

const root = fileURLToPath(new URL('..', import.meta.url));
const plugin = new Plugin({ errorOnManifestCreate: true, ignoreManifest: true, root, type: 'core' });
await plugin.load();
const { manifest } = plugin;
for (const command of Object.values(manifest.commands)) command.usage = usage(command);
writeFileSync(`${root}oclif.manifest.json`, `${JSON.stringify(manifest, null, 2)}\n`);

const { default: Help } = await import('../dist/core/cli/help.js');
class TextHelp extends Help {
  text = '';

  log(...lines) {
    this.text += `${lines.join(' ')}\n`;
  }
}

const config = await Config.load({ root });
const help = new TextHelp(config, { stripAnsi: true });
await help.showRootHelp();
if (!help.text.includes(config.userAgent)) throw new Error('the help does not tell the version');
writeFileSync(`${root}dist/root-help.txt`, help.text.replace(config.userAgent, '{userAgent}'));
writeFileSync(`${root}dist/first-steps.txt`, `${help.firstSteps()}\n`);
