// Imported before anything that an older Node could not read: ends in one line there, instead of in a stack of syntax errors.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `hpsv3 needs Node 20.19 or newer, and this is ${process.versions.node}: install a newer one from https://nodejs.org.\n`,
  );
  process.exit(2);
}
