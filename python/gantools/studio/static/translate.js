// The page Translate: an image goes in, what the network makes of it lies over it, and a slider wipes between both.

import {$, ask, attempt, copying, dropped, el, fetched, keys, newest, parameters, put, replace, say, scale, slider} from './shared.js';

const ZOOMS = [['fit', 'Fit'], ['1', '1:1'], ['2', '2:1'], ['4', '4:1']];
// What is made. `image` is the name under which the server keeps a file for a while; without one, it is an example.
const view = {
  run: '', checkpoint: 'last', image: '', name: '', side: '', index: 0, alpha: 'error', sixteen_bit: 'full', tile: 'auto',
  controls: {}, wipe: 50, zoom: 'fit',
};
let known = null; // what the server says of the run
let step = () => {}; // to another checkpoint
let input = ''; // the input that is shown
let wiping = null;

function query() {
  const found = new URLSearchParams({run: view.run, checkpoint: view.checkpoint});
  const names = view.image ? ['image', 'name', 'alpha', 'sixteen_bit'] : ['side', 'index'];
  for (const name of names) found.set(name, view[name]);
  if (view.tile !== 'auto') found.set('tile', view.tile);
  for (const control of known?.controls ?? []) {
    const value = view.controls[control.name];
    if (value !== undefined && value !== control.default) found.set(`c.${control.name}`, value);
  }
  return found.toString();
}

const picture = $('#picture'), before = $('#before');

async function shown_in(image, blob) {
  const address = URL.createObjectURL(blob), old = image.src;
  image.src = address;
  await image.decode();
  if (old.startsWith('blob:')) URL.revokeObjectURL(old);
}

/** How large the pictures are on the page. Both lie over each other, whatever their own sizes. */
function zoom() {
  const width = picture.naturalWidth;
  if (!width) return;
  const fits = width * scale(width, $('#window').clientWidth);
  const wanted = view.zoom === 'fit' ? Math.min(fits, $('#window').clientWidth) : width * +view.zoom;
  $('#wipe').style.width = `${wanted}px`;
  // The slider's thumb stands below the line.
  $('#wiping').style.width = `${Math.min(wanted, $('#window').clientWidth)}px`;
  for (const image of [picture, before]) image.classList.toggle('smooth', wanted < image.naturalWidth);
}

function wipe() {
  $('#wipe').style.setProperty('--at', `${view.wipe}%`);
}

function address(canonical) {
  const found = new URLSearchParams(canonical);
  if (view.wipe !== 50) found.set('wipe', view.wipe);
  if (view.zoom !== 'fit') found.set('zoom', view.zoom);
  replace(found.toString());
}

let canonical = '';
const draw = newest(() => attempt(async () => {
  const now = query(), started = performance.now();
  picture.dataset.state = 'drawing';
  say('Computing ...');
  try {
    const given = `${now.replace(/&c\.[^&]*|&tile=[^&]*|checkpoint=[^&]*/g, '')}&channels=${known.channels}`;
    if (given !== input) {
      await shown_in(before, await fetched(`/translation/before.png?${now}&channels=${known.channels}`));
      input = given;
    }
    await shown_in(picture, await fetched(`/translation.png?${now}`));
  } catch (error) {
    picture.dataset.state = 'wrong';
    $('#saves').replaceChildren();
    address(now);
    throw error;
  }
  const took = Math.round(performance.now() - started);
  const what = view.image ? view.name : `example ${view.index}`;
  before.alt = `Before: ${what}`;
  picture.alt = `After: ${what} by ${view.run} at ${view.checkpoint} kimg`;
  $('#wipe').hidden = $('#wiping').hidden = false;
  zoom();
  const lines = await ask(`/api/translation?${now}`);
  if (now !== query()) return;
  canonical = lines.address;
  address(canonical);
  $('#command').textContent = lines.command;
  $('#file').textContent = `This picture is then ${lines.file}.` +
    (lines.others ? ` With it come those of the ${lines.others.toLocaleString('en')} other images of the set.` : '');
  $('#python').textContent = `import gantools\n\n${lines.python}`;
  $('#saves').replaceChildren(el('a', {className: 'button', href: `/save/translation.png?${now}`, download: ''}, 'Save result'));
  picture.dataset.state = 'settled';
  const tiles = lines.tile ? `, in tiles of ${lines.tile}` : '';
  say(`${what}: ${lines.width} x ${lines.height} to ${lines.width * lines.scale} x ${lines.height * lines.scale}${tiles}, ${took} ms`);
}));

/** Draws what is chosen, where something is. */
function changed() {
  marked();
  $('#policies').hidden = !view.image;
  if (view.image || view.side) draw();
  else say('Choose an image, drop one here or paste one.');
}

/** Gives the server a file to keep in memory. */
const give = (file) => attempt(async () => {
  say(`Reading ${file.name || 'the image'} ...`);
  const said = await (await put('/translation/image', file)).json();
  view.image = said.image;
  // A pasted picture has no name of its own.
  view.name = (file.name || 'pasted.png').replace(/[/\\\p{C}]/gu, '-').slice(-200);
  if (said.transparent && view.alpha === 'error') view.alpha = $('#alpha').value = 'white';
  $('#note').hidden = !said.transparent;
  $('#note').textContent = 'This image is transparent: choose what its transparent parts are.';
  changed();
});

function marked() {
  for (const button of document.querySelectorAll('#examples button')) {
    const mine = !view.image && button.dataset.side === view.side && +button.dataset.index === view.index;
    button.setAttribute('aria-pressed', mine);
  }
}

function examples() {
  $('#examples').replaceChildren(...known.examples.map((set) => el('div', {},
    el('span', {className: 'label'}, set.words, el('small', {}, set.set)),
    el('div', {className: 'thumbs'}, ...set.images.map((index) => {
      const asked = new URLSearchParams({run: view.run, side: set.side, index, channels: known.channels});
      const button = el('button', {type: 'button', 'aria-label': `Image ${index} of ${set.set}`, onclick: () => {
        Object.assign(view, {image: '', side: set.side, index});
        $('#upload').value = '';
        $('#note').hidden = true;
        changed();
      }}, el('img', {src: `/translation/before.png?${asked}`, alt: '', className: 'pixels', loading: 'lazy'}));
      button.dataset.side = set.side;
      button.dataset.index = index;
      return button;
    })))));
}

/** What belongs to the run: its checkpoints, controls, tiles, images to try. */
function panel() {
  const names = known.checkpoints;
  const at = slider({name: 'checkpoint', label: 'Checkpoint', low: 0, high: names.length - 1, step: 1,
    value: names.indexOf(known.checkpoint),
    format: (i) => (names[i] === 'model' ? 'exported' : `${names[i]} kimg${names[i] === known.best ? ', best' : ''}`)},
  (i) => { view.checkpoint = names[i]; changed(); });
  step = (by) => {
    const i = Math.min(names.length - 1, Math.max(0, names.indexOf(view.checkpoint) + by));
    at.set(i);
    view.checkpoint = names[i];
    changed();
  };
  $('#checkpoints').replaceChildren(...(names.length > 1 ? [at.element] : []));
  $('#controls').replaceChildren(...known.controls.map((control) => slider({name: `c.${control.name}`,
    label: control.name.replaceAll('_', ' '), low: control.low, high: control.high, step: (control.high - control.low) / 100,
    value: view.controls[control.name] ?? control.default, words: control.words, format: (value) => String(+value.toFixed(3))},
  (value) => { view.controls[control.name] = value; changed(); }).element));
  $('#tile').replaceChildren(el('option', {value: 'auto'}, 'as is best for its size'),
    ...known.tiles.map((side) => el('option', {value: side}, `in tiles of ${side} x ${side}`)));
  if (!known.tiles.includes(+view.tile)) view.tile = 'auto';
  $('#tile').value = view.tile;
  examples();
}

/** Shows a run; what was turned of another is forgotten unless it fits. */
const choose = () => attempt(async () => {
  say('Loading the network ...');
  picture.dataset.state = 'drawing';
  known = await ask(`/api/translator?${new URLSearchParams({run: view.run, checkpoint: view.checkpoint})}`);
  view.checkpoint = known.checkpoint;
  const has = (name) => known.controls.some((control) => control.name === name);
  view.controls = Object.fromEntries(Object.entries(view.controls).filter(([name]) => has(name)));
  input = '';
  const sides = known.examples.map((set) => set.side);
  if (!view.image && !sides.includes(view.side)) {
    view.side = sides[0] ?? '';
    view.index = known.examples[0]?.images[0] ?? 0;
  }
  panel();
  if (!view.image && !view.side) {
    picture.dataset.state = 'none';
    $('#wipe').hidden = $('#wiping').hidden = true;
  }
  changed();
});

function read(found) {
  for (const [name, value] of found) {
    if (name.startsWith('c.')) view.controls[name.slice(2)] = +value;
    else if (name in view && typeof view[name] !== 'object') view[name] = typeof view[name] === 'number' ? +value : value;
  }
  if (!ZOOMS.some(([name]) => name === view.zoom)) view.zoom = 'fit';
  if (!(view.wipe >= 0 && view.wipe <= 100)) view.wipe = 50;
  if (found.has('image')) view.side = '';
  $('#alpha').value = view.alpha;
  const sixteen = $('#sixteen');
  if (![...sixteen.options].some((option) => option.value === view.sixteen_bit)) {
    sixteen.append(el('option', {value: view.sixteen_bit}, `from ${view.sixteen_bit.replace(':', ' to ')}`));
  }
  sixteen.value = view.sixteen_bit;
}

function comes() {
  dropped(give);
  addEventListener('paste', (event) => {
    const [file] = event.clipboardData.files;
    if (file) {
      event.preventDefault();
      give(file);
    }
  });
  $('#upload').addEventListener('change', () => {
    const [file] = $('#upload').files;
    if (file) give(file);
  });
}

function resize(name) {
  view.zoom = name;
  for (const radio of document.querySelectorAll('#zooms input')) radio.checked = radio.value === name;
  zoom();
  address(canonical);
}

async function start() {
  const found = parameters();
  $('#form').addEventListener('submit', (event) => event.preventDefault());
  wiping = slider({name: 'wipe', label: 'Wipe', low: 0, high: 100, step: 1, value: 50, words: 'Left of the line before, right of it after.',
    format: (value) => `${value} % before`},
  (value, moving) => {
    view.wipe = value;
    wipe();
    if (!moving) address(canonical);
  });
  $('#wiping').replaceChildren(wiping.element);
  $('#wiping').hidden = true;
  read(found);
  wiping.set(view.wipe);
  wipe();
  $('#zooms').replaceChildren(...ZOOMS.map(([name, label]) => el('label', {},
    el('input', {type: 'radio', name: 'zoom', value: name, checked: name === view.zoom, onchange: () => resize(name)}),
    el('span', {}, label))));
  for (const [id, name] of [['alpha', 'alpha'], ['sixteen', 'sixteen_bit'], ['tile', 'tile']]) {
    $(`#${id}`).addEventListener('change', () => { view[name] = $(`#${id}`).value; changed(); });
  }
  copying($('#copy-command'), () => $('#command').textContent);
  copying($('#copy-python'), () => $('#python').textContent);
  comes();
  const move = (event) => {
    const box = $('#wipe').getBoundingClientRect();
    view.wipe = Math.round(100 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    wiping.set(view.wipe);
    wipe();
  };
  $('#wipe').addEventListener('pointerdown', (event) => { $('#wipe').setPointerCapture(event.pointerId); move(event); });
  $('#wipe').addEventListener('pointermove', (event) => { if (event.buttons) move(event); });
  $('#wipe').addEventListener('pointerup', () => address(canonical));
  addEventListener('resize', zoom);
  keys({
    '[': ['The checkpoint before', () => step(-1)],
    ']': ['The checkpoint after', () => step(1)],
    o: ['Choose an image', () => $('#upload').click()],
    f: ['Fit the picture to the page', () => resize('fit')],
    1: ['One pixel of the picture is one of the page', () => resize('1')],
    2: ['Twice as large', () => resize('2')],
    4: ['Four times as large', () => resize('4')],
  });
  const runs = await ask('/api/translators');
  $('#run').replaceChildren(...runs.map((run) => el('option', {value: run.run}, run.run)));
  view.run = view.run || runs[0]?.run || '';
  $('#run').value = view.run;
  $('#run').addEventListener('change', () => {
    Object.assign(view, {run: $('#run').value, checkpoint: 'last'});
    choose();
  });
  if (!view.run) {
    $('#note').hidden = false;
    $('#note').textContent = 'No run here makes images from images. Train one, for example: gantools train cyclegan-64';
    for (const control of document.querySelectorAll('#form select, #form input')) control.disabled = true;
    say('');
    return;
  }
  await choose();
}

attempt(start);
