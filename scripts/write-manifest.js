// Writes oclif.manifest.json, as `oclif manifest` does: with it a command starts without loading the others. And
// dist/root-help.txt, the text of `hpsv3 --help` off a terminal, which bin/run.js then prints without loading oclif.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// Read when oclif loads: what it prints where there is no terminal.
delete process.env.FORCE_COLOR;
Object.assign(process.env, { OCLIF_COLUMNS: '80', NO_COLOR: '1' });
const { Config, Help, Plugin } = await import('@oclif/core');

const root = fileURLToPath(new URL('..', import.meta.url));
const plugin = new Plugin({ errorOnManifestCreate: true, ignoreManifest: true, root, type: 'core' });
await plugin.load();
writeFileSync(`${root}oclif.manifest.json`, `${JSON.stringify(plugin.manifest, null, 2)}\n`);

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
