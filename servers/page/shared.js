// What all kinds of connections share.

export const RETRY_MS = 1000;

// Cookies go with requests to another origin only if they are asked for.
export const credentials = (settings) => (settings.cookies ? 'include' : 'omit');
