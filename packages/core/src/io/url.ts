/** URLs of downloads: their parts for fetch, and how messages show them. */
import { printable } from '../printable.js';
import { utf8Bytes } from './text.js';

/** The parts of a URL for a request. */
export interface Address {
  /** The URL without user and password, which fetch refuses. */
  readonly href: string;
  /** `Authorization` for the user and password of the URL. Fetch drops it on redirects to another origin. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Splits a URL. @throws TypeError if it is none; the message shows no password. */
export function addressOf(text: string): Address {
  const url = parseUrl(text);
  const { username, password } = url;
  if (!username && !password) return { href: url.href, headers: {} };
  url.username = '';
  url.password = '';
  const bytes = utf8Bytes(`${decoded(username)}:${decoded(password)}`);
  return { href: url.href, headers: { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` } };
}

/** Parses a URL. @param base - of a relative one. @throws TypeError if it is none; the message shows no password. */
export function parseUrl(text: string, base?: string): URL {
  try {
    return new URL(text, base);
  } catch {
    // Without the cause, which holds the whole text.
    throw new TypeError(`${shownUrl(text)} is not a complete URL; check it.`);
  }
}

/** Decodes %-sequences; a stray % stays. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** True for a text that is a URL, not a path. `C:` is a drive. */
export const isUrlText = (text: string): boolean =>
  /^\s*(?:(?:https?|ftp|file|data|blob):|[a-z][a-z0-9+.-]+:\/\/)/i.test(text);

/**
 * Shows a URL in messages, without what may be secret: user and password, query (signatures, tokens) and fragment.
 * Control characters are escaped: the URL of a redirect comes from a server.
 * @example
 * shownUrl('https://me:secret@example.org/x.pth?token=secret') // 'https://example.org/x.pth?...'
 */
export function shownUrl(text: string): string {
  const whole = withoutUser(text.trim()).replace(/#.*$/s, '').replace(/\?.*$/s, '?...');
  return printable(whole.length > 200 ? `${whole.slice(0, 200)}...` : whole);
}

/** Removes the user and password as the URL parser finds them; up to the last `@` of a text that it refuses. */
function withoutUser(text: string): string {
  if (/^blob:/i.test(text)) return text.slice(0, 5) + withoutUser(text.slice(5));
  try {
    const url = new URL(text);
    if (!url.username && !url.password) return text;
    url.username = '';
    url.password = '';
    return url.href;
  } catch {
    const [, scheme = ''] = /^([a-z][a-z0-9+.-]*:\/\/)/i.exec(text) ?? [];
    const at = text.lastIndexOf('@');
    return at < 0 ? text : scheme + text.slice(at + 1);
  }
}
