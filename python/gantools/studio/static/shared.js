// What every page of the studio uses: elements, questions to the server, words to the user.

export const $ = (selector, within = document) => within.querySelector(selector);

/** An element with properties and children; text is text, never HTML. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'for' || name === 'role') made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** What went wrong, as the server says it. */
export class Refused extends Error {
  constructor(message, hint) {
    super(hint ? `${message} ${hint}` : message);
  }
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Refused('The studio does not answer.', 'Is it still running in its terminal?');
  }
  if (response.ok) return response;
  const text = await response.text();
  let said = {error: text};
  try {
    said = JSON.parse(text);
  } catch { /* plain words */ }
  throw new Refused(said.error, said.hint);
}

/** JSON of an address. */
export const ask = async (address) => (await answer(fetch(address))).json();

/** A file of an address. */
export const fetched = async (address) => (await answer(fetch(address))).blob();

/** What the server makes of a file. */
export const put = (address, body) => answer(fetch(address, {method: 'PUT', body}));

/** Says something at the foot of the page, also to those who do not see it. */
export function say(words, wrong = false) {
  const status = $('#status');
  status.textContent = words;
  status.classList.toggle('wrong', wrong);
}

/** Does something; where it is refused, says why. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message, true);
    return undefined;
  }
}

/** Makes of a slow function one of which a single call runs at a time: of those that wait, the newest alone is done. */
export function newest(work) {
  let running = false, waiting = null;
  async function go(...values) {
    if (running) {
      waiting = values;
      return;
    }
    running = true;
    try {
      await work(...values);
    } finally {
      running = false;
      const next = waiting;
      waiting = null;
      if (next) go(...next);
    }
  }
  return go;
}

/** Shows a file in an image that already has the size of the last one, so that nothing jumps. */
export async function show(image, blob) {
  const address = URL.createObjectURL(blob);
  const next = new Image();
  next.src = address;
  await next.decode();
  const old = image.src;
  image.src = address;
  const room = Math.floor(0.8 * innerHeight / next.height);
  image.width = next.width * Math.max(1, Math.min(room, scale(next.width, image.closest('section').clientWidth)));
  if (old.startsWith('blob:')) URL.revokeObjectURL(old);
  return [next.width, next.height];
}

/** By what whole factor pixels are enlarged to fill a width, 640 at most. */
export const scale = (width, room) => Math.max(1, Math.min(8, Math.floor(Math.min(room, 640) / width)));

/** The parameters of this page's address. The key is taken out of sight as soon as it has done its work. */
export function parameters() {
  const found = new URLSearchParams(location.search);
  if (found.has('token')) {
    found.delete('token');
    replace(found.toString());
  }
  return found;
}

/** Writes the parameters into the address, where a reload and a bookmark find them. */
export function replace(query) {
  const path = location.pathname === '/' ? '/sample' : location.pathname;
  history.replaceState(null, '', query ? `${path}?${query}` : path);
}

/** Puts text on the clipboard, and says so on the button. */
export function copying(button, text) {
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(text());
    const words = button.textContent;
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = words; }, 1500);
  });
}

let numbered = 0;
/** A field with its label, its value in words where it has some, and a sentence. */
export function labelled(input, label, words, shown) {
  input.id ||= `field-${++numbered}`;
  if (words) input.setAttribute('aria-describedby', `${input.id}-words`);
  return el('div', {className: 'field'}, el('label', {for: input.id}, label), ...(shown ? [shown] : []),
    ...(words ? [el('small', {id: `${input.id}-words`}, words)] : []), input);
}

/** Hands on the file that is dropped anywhere on the page. */
export function dropped(take) {
  const whole = document.documentElement;
  addEventListener('dragover', (event) => { event.preventDefault(); whole.classList.add('drop'); });
  addEventListener('dragleave', (event) => { if (!event.relatedTarget) whole.classList.remove('drop'); });
  addEventListener('drop', (event) => {
    event.preventDefault();
    whole.classList.remove('drop');
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

/** A slider with its name, its value and a sentence. */
export function slider({name, label, low, high, step, value, words, format = String}, changed) {
  const shown = el('span', {className: 'value', 'aria-hidden': 'true'});
  const input = el('input', {type: 'range', min: low, max: high, step, value, name});
  const tell = () => {
    shown.textContent = format(+input.value);
    input.setAttribute('aria-valuetext', format(+input.value));
  };
  tell();
  input.addEventListener('input', () => { tell(); changed(+input.value, true); });
  input.addEventListener('change', () => { tell(); changed(+input.value, false); });
  const set = (next) => { input.value = next; tell(); };
  return {element: labelled(input, label, words, shown), input, set};
}

/** Keys that work anywhere but where one types; `?` lists them. */
export function keys(list) {
  const dialog = el('dialog', {'aria-label': 'Keys'},
    el('h2', {}, 'Keys'),
    el('table', {}, el('tbody', {}, ...Object.entries({...list, '?': ['Show this list', null]}).map(
      ([key, [words]]) => el('tr', {}, el('td', {}, el('kbd', {}, key)), el('td', {}, words))))),
    el('form', {method: 'dialog'}, el('button', {}, 'Close')));
  document.body.append(dialog);
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input:not([type=range],[type=radio],[type=checkbox]),textarea,select');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.key === '?') dialog.showModal();
    else if (event.key === 'Enter' && event.target.closest('button,a,summary')) return;
    else if (list[event.key]) {
      event.preventDefault();
      list[event.key][1]();
    }
  });
}
