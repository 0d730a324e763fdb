/** Headers of etcd's HTTP surface, as recorded: CORS on everything, the gateway's marks on success. */
export const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'POST, GET, OPTIONS, PUT, DELETE',
  'access-control-allow-headers': 'accept, content-type, authorization',
} as const;

export const gatewayHeaders = { ...corsHeaders, 'content-type': 'application/json' } as const;

/** Made once: a Response copies a Headers object in a third of the time that a literal takes. */
export const gatewaySuccessHeaders: Headers = new Headers({
  ...gatewayHeaders,
  'grpc-metadata-content-type': 'application/grpc',
});

const plainTextHeaders = {
  ...corsHeaders,
  'content-type': 'text/plain; charset=utf-8',
  'x-content-type-options': 'nosniff',
} as const;

export function plainText(
  text: string,
  status = 200,
  more: Readonly<Record<string, string>> = {},
): Response {
  return new Response(text, { status, headers: { ...plainTextHeaders, ...more } });
}

export function preflight(): Response {
  return new Response(null, { status: 200, headers: corsHeaders });
}

/** What Go's mux says of a path that nobody serves. */
export function pageNotFound(): Response {
  return plainText('404 page not found\n', 404);
}

export function getOnly(): Response {
  return plainText('Method Not Allowed\n', 405, { allow: 'GET' });
}

/** 308, unlike etcd's 301: a client that follows it sends its POST again, and no GET. */
export function elsewhere(path: string, query: string): Response {
  const location = path + (query === '' ? '' : `?${query}`);
  return new Response(null, { status: 308, headers: { ...corsHeaders, location } });
}
