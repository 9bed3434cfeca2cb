// ws_echo.js --port N
//
// An echo server with npm's ws, for the network benchmark: compresses, without context takeover.
// The ws is that of the interoperation tests.
'use strict';
const { WebSocketServer } = require('../../tests/interop/node_modules/ws');

const [option, port] = process.argv.slice(2);
if (option !== '--port' || !port) {
  console.error('usage: ws_echo.js --port N');
  process.exit(2);
}
const perMessageDeflate = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  zlibDeflateOptions: { level: 6, memLevel: 8 },
  threshold: 0,
};
const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate });
server.on('connection', (ws) => {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
