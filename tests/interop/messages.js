// The messages of messages.json, and what the Node peers share.
'use strict';
const fs = require('fs');
const path = require('path');

// [name, string or Buffer] of each message.
function load() {
  const rows = JSON.parse(fs.readFileSync(path.join(__dirname, 'messages.json'), 'utf8'));
  return rows.map((row) => {
    const times = row.times ?? 1;
    if ('text' in row) return [row.name, row.text.repeat(times)];
    return [row.name, Buffer.from(row.hex.repeat(times), 'hex')];
  });
}

function short(value) {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

function expect(what, found, wanted) {
  const same = Buffer.isBuffer(wanted)
    ? Buffer.isBuffer(found) && wanted.equals(found)
    : found === wanted;
  if (!same) throw new Error(`${what}: ${short(found)} instead of ${short(wanted)}`);
  console.log('ok', what);
}

// Runs `main`; an error ends the process with status 1.
function run(main) {
  main().then(
    () => process.exit(0),
    (error) => {
      console.log(error.stack);
      process.exit(1);
    },
  );
}

module.exports = { load, expect, run, going: 'waiting for the server to go' };
