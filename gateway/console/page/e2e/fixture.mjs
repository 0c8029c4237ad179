// Stands before a real gateway: hands the page and all else on, with the gateway's own headers, but answers itself what a
// busy mesh would have it say.
import http from "node:http";
import { gzipSync } from "node:zlib";

// serve listens on an address of its own. answers are functions by path, from the URL to what is answered as JSON, or to a promise of it;
// one that returns undefined leaves it to the gateway. asked counts requests by path.
export async function serve(gateway, answers) {
  const asked = {};
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, gateway);
    asked[url.pathname] = (asked[url.pathname] ?? 0) + 1;
    const body = await answers[url.pathname]?.(url);
    if (body !== undefined) return answer(response, body);
    const to = http.request(url, { method: request.method, headers: { ...request.headers, host: url.host } }, (from) => {
      response.writeHead(from.statusCode, from.headers);
      from.pipe(response);
    });
    to.on("error", (error) => response.writeHead(502).end(String(error)));
    request.pipe(to);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    asked,
    close: () => { server.close(); server.closeAllConnections(); },
  };
}

function answer(response, body) {
  const text = gzipSync(JSON.stringify(body), { level: 1 });
  response.writeHead(200, { "Content-Type": "application/json", "Content-Encoding": "gzip", "Content-Length": text.length, "Cache-Control": "no-cache" });
  response.end(text);
}
