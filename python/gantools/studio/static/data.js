// The page Data: a set by pages, one of its images large, its rejects, its images that are equal.

import {$, ask, attempt, copying, el, keys, newest, parameters, replace, say, scale} from './shared.js';

const KINDS = {images: 'Images', equal: 'Equal images', rejects: 'Rejects'};
const PER = [12, 24, 60, 120, 200];
const view = {set: '', show: 'images', class: '', attribute: '', page: 0, per: 60, landmarks: 0, boxes: 0, index: ''};
let known = null; // what is said of the set
let pages = 1;
let order = []; // numbers of the images that are shown

const number = (value) => value.toLocaleString('en');

/** The parameters of what is shown, of its marks too. */
function query() {
  const found = new URLSearchParams({set: view.set, page: view.page});
  if (view.show !== 'images') return found;
  found.set('per', view.per);
  for (const name of ['class', 'attribute', 'landmarks', 'boxes']) if (view[name]) found.set(name, view[name]);
  return found;
}

function address() {
  const found = query();
  if (view.show !== 'images') found.set('show', view.show);
  if (view.index !== '') found.set('index', view.index);
  replace(found.toString());
}

function marks() {
  return `${view.landmarks ? '&landmarks=1' : ''}${view.boxes ? '&boxes=1' : ''}`;
}

const picture = (index, more) => `/set/image.png?${new URLSearchParams({set: view.set, index})}${more}`;

/** Small pictures, each a button that shows it large. */
function thumbnails(images) {
  const [h, w] = known.shape, wide = known.pairs ? 2 : 1;
  const side = view.landmarks || view.boxes ? 192 : Math.min(160, w * Math.max(1, Math.min(4, Math.floor(112 / w))));
  const place = el('div', {className: 'album'});
  place.style.setProperty('--side', `${side * wide}px`);
  place.append(...images.map(([index, name]) => {
    const image = el('img', {src: picture(index, `&small=1${marks()}`), alt: '', className: 'pixels', loading: 'lazy'});
    image.style.aspectRatio = `${w * wide} / ${h}`;
    order.push(index);
    const button = el('button', {type: 'button', title: name, 'aria-label': `Image ${index}: ${name}`,
      onclick: () => open(index)}, image);
    button.dataset.index = index;
    return button;
  }));
  return place;
}

const SHOWN = {
  async images() {
    const said = await ask(`/api/set/images?${query()}`);
    const parts = said.halves.map((half) => el('section', {'aria-label': half.title || 'All images'},
      ...(half.title ? [el('h2', {}, half.title.replaceAll('_', ' '), el('small', {}, `  ${number(half.count)} images`))] : []),
      half.images.length ? thumbnails(half.images) : el('p', {className: 'quiet'}, 'No more of these.')));
    const all = said.halves.reduce((sum, half) => sum + half.count, 0);
    lines(said.command, `It writes them into ${said.file}, one beside the other.`, said.python);
    $('#saves').replaceChildren(el('a', {className: 'button', href: `/save/set.png?${query()}`, download: ''}, 'Save this page as a grid'));
    return [said.pages, parts, `${view.set}: ${number(all)} images${view.class ? ` of class ${view.class}` : ''}`];
  },
  async equal() {
    say('Reading the whole set, to find images whose pixels are equal ...');
    const said = await ask(`/api/set/equal?${query()}`);
    const parts = said.images.map((group) => el('section', {},
      el('p', {className: 'quiet'}, `${number(group.of)} equal images`), thumbnails(group.images)));
    lines(said.command, 'It counts them, and names some.');
    const words = said.count ? `${number(said.count)} images repeat others, in ${number(said.groups)} groups` : 'no two images are equal';
    return [said.pages, parts.length ? parts : [el('p', {}, 'No two images of this set have the same pixels.')], `${view.set}: ${words}`];
  },
  async rejects() {
    const said = await ask(`/api/set/rejects?${query()}`);
    const row = (reject) => el('tr', {}, el('td', {}, reject.name), el('td', {}, reject.class), el('td', {}, reject.reason));
    const table = el('div', {className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Rejects'}, el('table', {},
      el('thead', {}, el('tr', {}, ...['File', 'Kind', 'Why'].map((words) => el('th', {scope: 'col'}, words)))),
      el('tbody', {}, ...said.rejects.map(row))));
    lines(known.command, 'It counts them by kind; all are in rejects.jsonl of the set.');
    return [said.pages, [said.count ? table : el('p', {}, 'Every file that was found is in this set.')],
      `${view.set}: ${number(said.count)} files were left out`];
  },
};

function lines(command, words, python = '') {
  $('#lines').hidden = false;
  $('#command').textContent = command;
  $('#file').textContent = words;
  $('#python-row').hidden = !python;
  $('#python').textContent = `import gantools\n\n${python}`;
}

const draw = newest(() => attempt(async () => {
  const stage = $('#stage'), now = view.show + query();
  stage.dataset.state = 'drawing';
  order = [];
  try {
    const [count, parts, words] = await SHOWN[view.show]();
    if (now !== view.show + query()) return;
    pages = count;
    $('#shown').replaceChildren(...parts);
    beside();
    say(words);
    stage.dataset.state = 'settled';
  } catch (error) {
    $('#shown').replaceChildren();
    $('#saves').replaceChildren();
    $('#lines').hidden = true;
    stage.dataset.state = 'wrong';
    pages = 1;
    throw error;
  } finally {
    $('#pager').hidden = pages < 2;
    $('#page').value = view.page + 1;
    $('#page').max = pages;
    $('#pages').textContent = `of ${number(pages)}`;
    $('#previous').disabled = view.page === 0;
    $('#next').disabled = view.page >= pages - 1;
    address();
  }
}));

function changed(page = 0) {
  view.page = page;
  $('#saves').replaceChildren();
  $('#filters').hidden = view.show !== 'images';
  draw();
}

function turn(by) {
  const page = Math.min(pages - 1, Math.max(0, view.page + by));
  if (page !== view.page) changed(page);
}

/** One image large, with all that is known of it. */
const open = (index) => attempt(async () => {
  const dialog = $('#large');
  const said = await ask(`/api/set/image?${new URLSearchParams({set: view.set, index})}`);
  view.index = index;
  const image = (side, words) => {
    const made = el('img', {src: picture(index, `&side=${side}${side === 'both' ? marks() : ''}`), className: 'pixels', alt: `${words}: image ${index}`});
    made.addEventListener('load', () => {
      const room = Math.min(innerWidth - 80, said.pair ? 320 : 480);
      // The sides of a pair are seen at one size, whatever their own are.
      made.width = said.pair ? Math.min(room, known.shape[1] * scale(known.shape[1], room)) : made.naturalWidth * scale(made.naturalWidth, room);
    });
    return el('figure', {}, made, ...(said.pair ? [el('figcaption', {}, words)] : []));
  };
  $('#large-title').textContent = said.said[1][1];
  $('#large-pictures').replaceChildren(...(said.pair ? [image('input', 'Input'), image('image', 'Target')] : [image('both', 'Image')]));
  $('#said').replaceChildren(...said.said.map(([name, words]) => el('tr', {}, el('th', {scope: 'row'}, name), el('td', {}, words))));
  $('#large-command').textContent = said.command;
  beside();
  if (!dialog.open) dialog.showModal();
  address();
});

/** Whether there is an image before and after the large one. */
function beside() {
  const at = order.indexOf(view.index);
  $('#before').disabled = at <= 0;
  $('#after').disabled = at < 0 || at >= order.length - 1;
}

function along(by) {
  const next = order[order.indexOf(view.index) + by];
  if (next !== undefined && order.includes(view.index)) open(next);
}

function facts() {
  const [h, w, c] = known.shape;
  const source = known.source ?? {}, policy = known.policy ?? {};
  const more = known.kinds_of_sizes - Object.keys(known.sizes).length;
  const rows = [
    ['Images', `${number(known.count)} of ${w} x ${h}, ${c === 1 ? 'grey' : 'colour'}`],
    ['On disk', `${number(Math.max(1, Math.round(known.bytes / 1e6)))} MB in ${number(known.shards)} file${known.shards === 1 ? '' : 's'}`],
    ...(known.inputs ? [['Inputs', known.inputs.operation + (known.inputs.scale ? `, ${known.inputs.scale} times smaller` : '')]] : []),
    ...(source.kind ? [['Source', `${source.kind}${source.split ? `, ${source.split}` : ''}`]] : []),
    ...Object.entries(policy).filter(([, value]) => ['string', 'number'].includes(typeof value) && value !== '').filter(
      ([name]) => !['width', 'height', 'channels'].includes(name)).map(([name, value]) => [name.replaceAll('_', ' '), String(value)]),
    ...Object.entries(known.partition ?? {}).map(([name, count]) => [`in ${name}`, number(count)]),
    ...(known.kinds_of_sizes ? [['Files were', [
      ...Object.entries(known.sizes).map(([size, count]) => `${size.replace('x', ' x ')}: ${number(count)}`),
      ...(more > 0 ? [`and of ${number(more)} more sizes`] : [])].join('\n')]] : []),
    ['Fingerprint', known.fingerprint],
    ['Folder', known.path],
  ];
  $('#facts').replaceChildren(el('h2', {}, 'About this set'), el('table', {className: 'facts'}, el('tbody', {}, ...rows.map(
    ([name, words]) => el('tr', {}, el('th', {scope: 'row'}, name), el('td', {}, words))))));
}

function panel() {
  const options = (id, first, counts, chosen) => {
    $(`#${id}-label`).hidden = !counts;
    $(`#${id}`).replaceChildren(el('option', {value: ''}, first), ...Object.entries(counts ?? {}).map(
      ([name, count]) => el('option', {value: name}, `${name.replaceAll('_', ' ')} (${number(count)})`)));
    if (!(counts && chosen in counts)) view[id] = '';
    $(`#${id}`).value = view[id];
  };
  options('class', `all ${number(known.count)}`, known.classes, view.class);
  options('attribute', 'all images', known.attributes, view.attribute);
  for (const name of ['landmarks', 'boxes']) if (!known.marks.includes(name)) view[name] = 0;
  $('#marks').hidden = !known.marks.length;
  $('#marks .choices').replaceChildren(...known.marks.map((name) => el('label', {}, el('input', {type: 'checkbox', name,
    checked: Boolean(+view[name]), onchange: (event) => { view[name] = +event.target.checked; draw(); }}), el('span', {}, name))));
  const rejects = Object.values(known.rejects).reduce((sum, count) => sum + count, 0);
  $('#kinds').replaceChildren(...Object.entries(KINDS).map(([name, label]) => el('label', {}, el('input', {type: 'radio', name: 'show',
    value: name, checked: name === view.show, onchange: () => { view.show = name; changed(); }}),
  el('span', {}, label + (name === 'rejects' && rejects ? ` (${number(rejects)})` : '')))));
  facts();
}

const choose = () => attempt(async () => {
  try {
    known = await ask(`/api/set?${new URLSearchParams({set: view.set})}`);
  } catch (error) {
    $('#stage').dataset.state = 'wrong';
    $('#shown').replaceChildren();
    throw error;
  }
  const page = view.page;
  panel();
  changed(page);
  if (view.index !== '') open(view.index);
});

async function start() {
  const found = parameters();
  for (const [name, value] of found) {
    if (name === 'index') view.index = +value;
    else if (name in view) view[name] = typeof view[name] === 'number' ? +value : value;
  }
  if (!(view.show in KINDS)) view.show = 'images';
  if (!PER.includes(view.per)) PER.push(view.per);
  $('#form').addEventListener('submit', (event) => event.preventDefault());
  $('#per').replaceChildren(...PER.sort((a, b) => a - b).map((per) => el('option', {value: per}, per)));
  $('#per').value = view.per;
  const sets = await ask('/api/sets');
  $('#set').replaceChildren(...sets.map((set) => el('option', {value: set.set, disabled: Boolean(set.wrong)},
    set.wrong ? `${set.set} (damaged)` : `${set.set} (${number(set.count)})`)));
  view.set = view.set || sets.find((set) => !set.wrong)?.set || '';
  $('#set').value = view.set;
  const again = (id, name) => $(`#${id}`).addEventListener('change', () => {
    view[name] = name === 'per' ? +$(`#${id}`).value : $(`#${id}`).value;
    changed();
  });
  again('class', 'class');
  again('attribute', 'attribute');
  again('per', 'per');
  $('#set').addEventListener('change', () => {
    Object.assign(view, {set: $('#set').value, page: 0, index: '', class: '', attribute: ''});
    choose();
  });
  $('#page').addEventListener('change', () => {
    const wanted = Math.round(+$('#page').value) - 1;
    if (wanted >= 0 && wanted < pages) changed(wanted);
    else $('#page').value = view.page + 1;
  });
  $('#previous').addEventListener('click', () => turn(-1));
  $('#next').addEventListener('click', () => turn(1));
  $('#before').addEventListener('click', () => along(-1));
  $('#after').addEventListener('click', () => along(1));
  $('#close').addEventListener('click', () => $('#large').close());
  $('#large').addEventListener('close', () => {
    const button = $(`#shown button[data-index="${view.index}"]`);
    view.index = '';
    address();
    button?.focus();
  });
  $('#large').addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') along(-1);
    if (event.key === 'ArrowRight') along(1);
  });
  copying($('#copy-command'), () => $('#command').textContent);
  copying($('#copy-python'), () => $('#python').textContent);
  copying($('#copy-large'), () => $('#large-command').textContent);
  keys({
    '[': ['The page before', () => turn(-1)],
    ']': ['The page after', () => turn(1)],
    '←': ['Of one large image: the one before', () => along(-1)],
    '→': ['Of one large image: the one after', () => along(1)],
  });
  if (!view.set) {
    $('#note').hidden = false;
    $('#note').textContent = 'There is no prepared set here: none of the runs\' is there any more, and the folder data has none. Make one: gantools prep';
    for (const control of document.querySelectorAll('#form select')) control.disabled = true;
    return;
  }
  await choose();
}

attempt(start);
