// Node's server with an idle timeout of a few milliseconds that its answers do not tell.
'use strict';
const http = require('http');
const posts = [];
const server = http.createServer((req, res) => {
  // With a field of the handler's own it adds no `Keep-Alive`.
  res.setHeader('Connection', 'keep-alive');
  if (req.url === '/posts') return res.end(posts.join('\n'));
  req.on('data', () => {});
  req.on('end', () => {
    if (req.method === 'POST') posts.push(req.url);
    res.end(req.url);
  });
});
server.keepAliveTimeout = Number(process.argv[2]);
server.keepAliveTimeoutBuffer = 0;
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
