// Node's server with an idle timeout of a few milliseconds that its answers do not tell.
'use strict';
const http = require('http');
const idle = Number(process.argv[2]);
const posts = [];
const server = http.createServer((req, res) => {
  // With a field of the handler's own it adds no `Keep-Alive`.
  res.setHeader('Connection', 'keep-alive');
  // What the server does itself here, but for the second that some versions add to its `keepAliveTimeout`.
  res.on('finish', () => req.socket.setTimeout(idle));
  if (req.url === '/posts') return res.end(posts.join('\n'));
  req.on('data', () => {});
  req.on('end', () => {
    if (req.method === 'POST') {
      posts.push(req.url);
      // It was carried out, and nobody is told.
      if (req.url.endsWith('3')) return req.socket.destroy();
    }
    res.end(req.url);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
