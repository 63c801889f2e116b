import { Router } from 'express';
import { only } from './only.js';
import { openApiDocument } from './openapi.js';

const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Facecast API</title>
<link rel="icon" href="../favicon.svg">
<link rel="stylesheet" href="swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="start.js"></script>
</body>
</html>
`;

/** Without the bar on top, and without the badge that would ask a validator on the internet. */
const START = `SwaggerUIBundle({ url: '../openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null });
`;

/** Nothing but this origin: the page works where there is no internet. Swagger UI writes styles into its elements. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** `/openapi.json`. */
export function openApiRoutes(): Router {
  const router = Router();
  router.get('/', (_request, response) => {
    response.set('Cache-Control', 'no-cache').json(openApiDocument);
  });
  router.all('/', only('GET, HEAD'));
  return router;
}

/**
 * `/docs/`: the same to read and to try out.
 * @param directory of swagger-ui-dist
 */
export function docsRoutes(directory: string): Router {
  const router = Router({ strict: true });
  router.use((_request, response, next) => {
    response.set('Content-Security-Policy', POLICY);
    next();
  });
  router.get('/', (request, response) => {
    // Its files are beside it only where it ends with a slash. Relative, because the service may lie behind a prefix.
    if (!/^[^?]*\/(\?|$)/.test(request.originalUrl)) response.redirect(301, 'docs/');
    else response.type('html').set('Cache-Control', 'no-cache').send(HTML);
  });
  router.get('/start.js', (_request, response) => {
    response.type('text/javascript').set('Cache-Control', 'no-cache').send(START);
  });
  for (const file of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    router.get(`/${file}`, (_request, response) => response.sendFile(file, { root: directory, maxAge: '1h' }));
  }
  return router;
}
