/** A plugin of typedoc that names a guide in the navigation by its first heading, not by its file. */
import { Converter } from 'typedoc';

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => {
    const [, title] = /^# (.+)$/m.exec(document.content.map(({ text }) => text).join('')) ?? [];
    if (title) document.name = title;
  });
}
