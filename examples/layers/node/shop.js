// A shop's front end, which tells of itself at /metrics by prom-client, with the names of its default metrics.
//
//   node shop.js HOST:PORT
const { createServer } = require('node:http');
const { collectDefaultMetrics, Histogram, register } = require('prom-client');

collectDefaultMetrics();
const duration = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'How long requests took.',
  labelNames: ['method', 'route', 'status_code'],
});

const [host, port] = process.argv[2].split(':');
createServer(async (request, response) => {
  if (request.url === '/metrics') {
    response.setHeader('content-type', register.contentType);
    response.end(await register.metrics());
    return;
  }
  const end = duration.startTimer({ method: request.method, route: '/orders' });
  response.statusCode = request.url === '/orders' ? 200 : 404;
  response.end();
  end({ status_code: response.statusCode });
}).listen(Number(port), host, () => console.log('listening'));
