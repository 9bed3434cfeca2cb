// The WebSocket of a page in Chromium against an echo server. usage: node chromium_client.js URL
//
// With a wss:// URL, the browser trusts the authority in TLS_CA, and nothing else is changed: one that
// does not know the authority has to refuse the same server first.
//
// The browser is the one in CHROMIUM. A page can send neither fragments nor Pings.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { chromium } = require('playwright-core');
const { load, expect, run, going } = require('./messages.js');

const url = process.argv[2];
const flags = [
  '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

// Runs in the page.
async function connect(address) {
  const ws = new WebSocket(address);
  ws.binaryType = 'arraybuffer';
  const inbox = [];
  const waiting = [];
  ws.onmessage = ({ data }) => (waiting.length ? waiting.shift()(data) : inbox.push(data));
  ws.received = async () => inbox.shift() ?? new Promise((resolve) => waiting.push(resolve));
  ws.ended = new Promise((resolve) => {
    ws.onclose = ({ code, reason, wasClean }) => resolve(`${code} ${wasClean} ${reason}`);
  });
  await new Promise((resolve, reject) => {
    ws.onopen = resolve;
    ws.onerror = () => reject(new Error('the connection failed'));
  });
  return ws;
}

// Runs in the page. A binary message travels between Node and the page as a string of bytes.
async function echoed({ text, bytes }) {
  if (text !== undefined) {
    window.ws.send(text);
    return window.ws.received();
  }
  window.ws.send(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
  const data = new Uint8Array(await window.ws.received());
  return Array.from(data, (b) => String.fromCharCode(b)).join('');
}

async function echoes(page) {
  for (const [name, message] of load()) {
    const sent =
      typeof message === 'string' ? { text: message } : { bytes: message.toString('latin1') };
    const back = await page.evaluate(echoed, sent);
    expect(`${name} comes back`, back, sent.text ?? sent.bytes);
  }
}

async function closes(page) {
  const end = (action) => page.evaluate(action, url);
  expect('the code of our Close comes back', (await page.evaluate(() => {
    window.ws.close(4000, 'the client is done');
    return window.ws.ended;
  })).slice(0, 9), '4000 true');
  const bare = await end(async (address) => {
    const ws = await window.connect(address);
    ws.close();
    return ws.ended;
  });
  expect('a Close without a code is answered', /^(1000|1005) true/.test(bare), true);
  expect('the server closes', await end(async (address) => {
    const ws = await window.connect(address);
    ws.send('close 4001 the server is done');
    return ws.ended;
  }), '4001 true the server is done');
}

async function goesAway(page) {
  await page.evaluate(async (address) => {
    window.several = [];
    for (let i = 0; i < 3; ++i) window.several.push(await window.connect(address));
  }, url);
  console.log(going);
  const ends = await page.evaluate(() => Promise.all(window.several.map((ws) => ws.ended)));
  for (const end of ends) expect('the server goes away', end.slice(0, 9), '1001 true');
}

// A page of the loopback network: others may be kept from connecting to it.
function servePage() {
  const server = http.createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>sansocket</title>');
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

// A home of its own, whose store of certificates trusts `authority`, if any.
function makeHome(authority) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'sansocket-'));
  const store = path.join(home, '.pki', 'nssdb');
  fs.mkdirSync(store, { recursive: true });
  const certutil = (...rest) => execFileSync('certutil', ['-d', `sql:${store}`, ...rest]);
  certutil('-N', '--empty-password');
  if (authority) certutil('-A', '-n', 'test authority', '-t', 'C,,', '-i', authority);
  return home;
}

// Calls `use` with a page in a browser that trusts `authority`, too, if any.
async function withPage(authority, use) {
  const home = makeHome(authority);
  const server = await servePage();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, headless: true, chromiumSandbox: false, args: flags,
    env: { ...process.env, HOME: home },
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.evaluate(`window.connect = ${connect}`);
    await use(page);
  } finally {
    await browser.close();
    server.close();
    fs.rmSync(home, { recursive: true, force: true });
  }
}

async function isRefused(page) {
  const refused = page.evaluate((address) => window.connect(address).then(() => 'open', String), url);
  expect('an unknown authority is refused', await refused, 'Error: the connection failed');
}

async function talks(page) {
  await page.evaluate(async (address) => {
    window.ws = await window.connect(address);
  }, url);
  const extensions = await page.evaluate(() => window.ws.extensions);
  const deflates = process.env.DEFLATES === '1';
  expect('compression is agreed on, or not', extensions.startsWith('permessage-deflate'), deflates);
  await echoes(page);
  await closes(page);
  await goesAway(page);
}

run(async () => {
  const authority = url.startsWith('wss') ? process.env.TLS_CA : undefined;
  if (authority) await withPage(undefined, isRefused);
  await withPage(authority, talks);
});
