// The page Sample: what is turned becomes an address, an address a picture.

import {$, ask, attempt, copying, dropped, el, fetched, keys, labelled, newest, parameters, put, replace, say, show, slider} from './shared.js';

const KINDS = {
  grid: ['Grid', 'Images 0, 1, 2, ... of a seed'],
  one: ['One', 'A single image, large'],
  seeds: ['Seeds', 'The first image of each seed'],
  walk: ['Walk', 'From image to image and back'],
  pad: ['Pad', 'Between four images'],
  mix: ['Mix', 'Coarse of one, fine of another'],
};
const OF = {
  grid: ['seed', 'n'], one: ['seed', 'index'], seeds: ['seeds'], walk: ['seeds', 'frames', 'frame', 'once', 'fps'],
  pad: ['seeds', 'x', 'y'], mix: ['seeds', 'others', 'low', 'high'],
};
// What is looked at. Numbers of seeds are strings: they go up to 2^63, further than numbers do here.
const view = {
  run: '', checkpoint: 'last', kind: 'grid', seed: '0', n: 16, index: 0, seeds: '0,1,2,3', others: '4,5,6,7',
  frames: 120, frame: 0, once: 0, fps: 24, x: 0.5, y: 0.5, low: 0, high: 4, class: '', controls: {}, directions: {},
};
let known = null; // what the server says of the run
let step = () => {}; // to another checkpoint
let playing = 0;

function query(more = {}) {
  const found = new URLSearchParams({run: view.run, checkpoint: view.checkpoint, kind: view.kind});
  for (const name of OF[view.kind]) found.set(name, view[name]);
  if (view.class !== '') found.set('class', view.class);
  for (const control of known?.controls ?? []) {
    const value = view.controls[control.name];
    if (value !== undefined && value !== control.default) found.set(`c.${control.name}`, value);
  }
  for (const [name, value] of Object.entries(view.directions)) if (value) found.set(`d.${name}`, value);
  for (const [name, value] of Object.entries(more)) found.set(name, value);
  return found.toString();
}

const picture = $('#picture');
let asked = 0; // of drawings; a settled picture counts only while nothing newer was asked for

const draw = newest((fast) => attempt(async () => {
  const number = ++asked, now = query(), started = performance.now();
  if (!fast) picture.dataset.state = 'drawing';
  const blob = await fetched(`/picture.png?${now}${fast ? '&fast=1' : ''}`);
  const [width, height] = await show(picture, blob);
  if (view.kind === 'mix') align(width);
  picture.alt = `${KINDS[view.kind][1]}, ${view.run} at ${view.checkpoint} kimg`;
  const words = `${view.run}, ${known.kimg} kimg, ${width} x ${height}, ${Math.round(performance.now() - started)} ms`;
  if (fast) {
    say(words);
    return;
  }
  const lines = await ask(`/api/lines?${now}`);
  if (number !== asked || now !== query()) return;
  replace(lines.address);
  $('#command').textContent = lines.command;
  $('#file').textContent = `This picture is then ${lines.file}.` +
    (lines.command.includes('--latents') ? ' It reads the file that Save latents gives.' : '');
  $('#python').textContent = `import gantools\n\n${lines.python}`;
  picture.dataset.state = 'settled';
  say(words);
}));

let settling = 0;
/** Draws what is turned now: at once and quickly while a slider moves, as the command would when it rests. */
function changed(moving = false) {
  clearTimeout(settling);
  if (moving) {
    picture.dataset.state = 'fast';
    draw(true);
    settling = setTimeout(() => changed(), 400);
  } else {
    saves();
    draw(false);
  }
}

/** The training images that are nearest to what is seen: copies would stand out. */
const near = () => attempt(async () => {
  const now = query();
  say('Looking through the training images ...');
  const found = await ask(`/api/nearest?${now}`);
  if (now !== query()) return;
  const pairs = found.pairs.map((pair) => {
    const of = new URLSearchParams(now);
    for (const name of ['image', 'place']) of.set(name, pair[name]);
    if (pair.mirrored) of.set('mirrored', 1);
    const words = pair.apart === 0 ? 'a copy' : `${pair.apart} apart`;
    return el('figure', {}, el('img', {src: `/picture/pair.png?${of}`, className: 'pixels', alt: `Image ${pair.image}, and below ${pair.name}`}),
      el('figcaption', {}, `${pair.name}, ${words}${pair.mirrored ? ', mirrored' : ''}`));
  });
  $('#near').replaceChildren(...pairs);
  say(`The nearest of ${found.searched.toLocaleString('en')} images of ${found.set} by their pixels, in levels of 0 to 255; the sample above.`);
});

function saves() {
  $('#near').replaceChildren();
  const link = (words, address) => el('a', {className: 'button', href: address, download: ''}, words);
  $('#saves').replaceChildren(
    link('Save picture', `/save/picture.png?${query()}`),
    link('Save picture with its state', `/save/picture.png?${query({stamp: 1})}`),
    link('Save latents', `/save/latents.npy?${query()}`),
    ...(view.kind === 'walk' ? [link('Save film', `/save/film.png?${query()}`)] : []),
    el('button', {type: 'button', onclick: near}, 'Nearest training images'));
}

/** The part of the panel that belongs to the kind of picture. */
function turned() {
  const place = $('#turned'), one = view.kind === 'grid' || view.kind === 'one';
  const number = (name, label, low, high, words) => slider(
    {name, label, low, high, step: 1, value: view[name], words},
    (value, moving) => { view[name] = value; changed(moving); }).element;
  const list = (name, label, words) => {
    const input = el('input', {value: view[name], inputMode: 'numeric', name, autocomplete: 'off', onchange: () => {
      view[name] = input.value.replace(/\s*,\s*|\s+/g, ',');
      parts();
      changed();
    }});
    const again = el('button', {type: 'button', onclick: () => {
      input.value = view[name].split(',').map(random).join(',');
      input.dispatchEvent(new Event('change'));
    }}, 'Others');
    return el('div', {className: 'row'}, labelled(input, label, words), again);
  };
  $('#seed-row').hidden = !one;
  stop();
  const made = {
    grid: () => [number('n', 'Images', 1, 64)],
    one: () => [number('index', 'Image', 0, 63, 'Its number among those of the seed.')],
    seeds: () => [list('seeds', 'Seeds')],
    walk: () => [list('seeds', 'By way of seeds'), frameSlider().element, number('frames', 'Frames', 8, 480), once()],
    pad: () => [list('seeds', 'Seeds at the corners'), ...['x', 'y'].map(axis)],
    mix: () => [
      list('seeds', 'Rows', 'What is kept.'), list('others', 'Columns', 'Whose layers are taken.'),
      number('low', 'First layer taken', 0, known.styles, '0 is the coarsest: pose and shape.'),
      number('high', 'Up to layer', 0, known.styles),
    ],
  }[view.kind]();
  place.replaceChildren(...made);
  $('#film').hidden = view.kind !== 'walk';
  parts();
}

function once() {
  const box = el('input', {type: 'checkbox', checked: Boolean(+view.once), onchange: () => { view.once = +box.checked; changed(); }});
  return el('label', {}, box, ' End at the last image');
}

let frame = null;
function frameSlider() {
  frame = slider({name: 'frame', label: 'Frame', low: 0, high: view.frames - 1, step: 1, value: view.frame},
    (value, moving) => { view.frame = value; changed(moving); });
  return frame;
}

const axes = {};
function axis(name) {
  axes[name] = slider({name, label: name === 'x' ? 'To the right' : 'Down', low: 0, high: 1, step: 0.01, value: view[name],
    format: (value) => value.toFixed(2)}, (value, moving) => { view[name] = value; point(); changed(moving); });
  return axes[name].element;
}

function point() {
  $('#pad i').style.left = `${100 * view.x}%`;
  $('#pad i').style.top = `${100 * view.y}%`;
}

/** Pictures beside the picture: the corners of the pad, and at its edges what is mixed. */
function parts() {
  const mixing = view.kind === 'mix', of = (seed) => {
    const found = new URLSearchParams(query());
    for (const name of OF[view.kind]) found.delete(name);
    for (const [name, value] of Object.entries({kind: 'one', seed, index: 0})) found.set(name, value);
    return el('img', {src: `/picture.png?${found}`, alt: `Seed ${seed}`, title: `Seed ${seed}`});
  };
  $('#pad').hidden = view.kind !== 'pad';
  $('#pad').querySelectorAll('img').forEach((image) => image.remove());
  $('#frame').className = mixing ? 'mixed' : '';
  for (const [id, name] of [['#across', 'others'], ['#down', 'seeds']]) {
    $(id).hidden = !mixing;
    $(id).replaceChildren(...(mixing ? view[name].split(',').map(of) : []));
  }
  if (view.kind === 'pad') {
    point();
    $('#pad i').before(...view.seeds.split(',').map(of));
  }
}

/** Gives the images at the edges the size and the distance of those in the picture. */
function align(width) {
  const [h, w] = known.shape, factor = picture.width / width;
  for (const [id, side] of [['#across', 'Left'], ['#down', 'Top']]) {
    for (const image of $(id).children) {
      image.style.width = `${w * factor}px`;
      image.style.height = `${h * factor}px`;
      image.style[`margin${side}`] = `${2 * factor}px`;
    }
  }
}

function stop() {
  playing = 0;
  const button = $('#film button');
  if (button) button.textContent = 'Play';
}

async function play() {
  if (playing) {
    stop();
    changed();
    return;
  }
  const mine = playing = Math.random();
  $('#film button').textContent = 'Pause';
  while (playing === mine) {
    const begun = performance.now();
    view.frame = (view.frame + 1) % view.frames;
    frame.set(view.frame);
    picture.dataset.state = 'fast';
    const blob = await attempt(() => fetched(`/picture.png?${query()}&fast=1`));
    if (!blob) stop();
    if (playing !== mine) return;
    await show(picture, blob);
    say(`Frame ${view.frame} of ${view.frames}`);
    await new Promise((done) => setTimeout(done, Math.max(0, 1000 / view.fps - (performance.now() - begun))));
  }
}

const random = () => String(Math.floor(Math.random() * 2 ** 32));

function reseed() {
  if (view.kind === 'grid' || view.kind === 'one') $('#seed').value = view.seed = random();
  else view.seeds = view.seeds.split(',').map(random).join(',');
  turned();
  changed();
}

/** Which image of a grid was clicked. */
function open(event) {
  if (view.kind !== 'grid' || picture.dataset.state === 'none') return;
  const [h, w] = known.shape, classes = known.classes?.length ?? 0;
  const inTurn = view.class === '' && classes > 1 && classes <= 16 && view.n >= classes;
  const columns = inTurn ? Math.min(8, Math.floor(view.n / classes)) : Math.min(view.n, Math.ceil(Math.sqrt(view.n)));
  const size = picture.naturalWidth / picture.clientWidth;
  const column = Math.floor((event.offsetX * size - 2) / (w + 2)), row = Math.floor((event.offsetY * size - 2) / (h + 2));
  const index = inTurn ? row + column * classes : row * columns + column;
  if (column < 0 || row < 0 || column >= columns || index >= view.n) return;
  view.index = index;
  kind('one');
}

function kind(name) {
  view.kind = name;
  for (const input of document.querySelectorAll('#kinds input')) input.checked = input.value === name;
  if (name === 'pad' && view.seeds.split(',').length !== 4) view.seeds = '0,1,2,3';
  turned();
  changed();
}

/** What belongs to the run: its checkpoints, kinds of pictures, classes, controls, directions. */
function panel() {
  const names = known.checkpoints, latents = known.takes === 'latents';
  const at = slider({name: 'checkpoint', label: 'Checkpoint', low: 0, high: names.length - 1, step: 1,
    value: names.indexOf(known.checkpoint),
    format: (i) => (names[i] === 'model' ? 'exported' : `${names[i]} kimg${names[i] === known.best ? ', best' : ''}`)},
  (i, moving) => { view.checkpoint = names[i]; changed(moving); });
  step = (by) => {
    const i = Math.min(names.length - 1, Math.max(0, names.indexOf(view.checkpoint) + by));
    at.set(i);
    view.checkpoint = names[i];
    changed();
  };
  $('#checkpoints').replaceChildren(...(names.length > 1 ? [at.element] : []));
  $('#kinds').replaceChildren(...Object.entries(KINDS).filter(([name]) => name !== 'mix' || known.styles).map(
    ([name, [label, words]]) => el('label', {title: words}, el('input', {type: 'radio', name: 'kind', value: name,
      checked: name === view.kind, disabled: !latents, onchange: () => kind(name)}), el('span', {}, label))));
  $('#class-label').hidden = !known.classes;
  $('#class').replaceChildren(el('option', {value: ''}, 'each in turn'),
    ...(known.classes ?? []).map((name) => el('option', {value: name}, name)));
  $('#class').value = view.class;
  $('#controls').replaceChildren(...(latents ? known.controls : []).map((control) => {
    const whole = control.high - control.low > 16;
    const now = view.controls[control.name] ?? control.default;
    if (whole) {
      const input = el('input', {type: 'number', min: control.low, max: control.high, step: 1, value: now, onchange: () => {
        view.controls[control.name] = +input.value;
        changed();
      }});
      return labelled(input, control.name.replaceAll('_', ' '), control.words);
    }
    return slider({name: `c.${control.name}`, label: control.name.replaceAll('_', ' '), low: control.low, high: control.high,
      step: 0.01, value: now, words: control.words, format: (value) => String(+value.toFixed(3))},
    (value, moving) => { view.controls[control.name] = value; changed(moving); }).element;
  }));
  $('#directions').hidden = !known.directions.length;
  $('#directions').open = Object.keys(view.directions).length > 0;
  $('#directions .panel').replaceChildren(...known.directions.map((direction) => slider({name: `d.${direction.name}`,
    label: direction.name, low: -5, high: 5, step: 0.1, value: view.directions[direction.name] ?? 0,
    format: (value) => `${+value.toFixed(2)} σ`},
  (value, moving) => { view.directions[direction.name] = value; changed(moving); }).element));
  $('#note').hidden = !known.notes.length && latents;
  $('#note').textContent = latents ? known.notes.join(' ') : 'This run makes images from images: see the page Translate.';
}

/** Shows a run; what was turned of another is forgotten unless it fits. */
const choose = () => attempt(async () => {
  say('Loading the network ...');
  known = await ask(`/api/run?${new URLSearchParams({run: view.run, checkpoint: view.checkpoint})}`);
  view.checkpoint = known.checkpoint;
  const has = (list, name) => list.some((entry) => entry.name === name);
  view.controls = Object.fromEntries(Object.entries(view.controls).filter(([name]) => has(known.controls, name)));
  view.directions = Object.fromEntries(Object.entries(view.directions).filter(([name]) => has(known.directions, name)));
  if (!known.classes?.includes(view.class)) view.class = '';
  if (view.kind === 'mix' && !known.styles) view.kind = 'grid';
  if (known.styles) view.high = Math.min(view.high, known.styles);
  panel();
  if (known.takes !== 'latents') {
    say('This run makes images from images.');
    return;
  }
  turned();
  changed();
});

function read(found) {
  for (const [name, value] of found) {
    if (name.startsWith('c.')) view.controls[name.slice(2)] = +value;
    else if (name.startsWith('d.')) view.directions[name.slice(2)] = +value;
    else if (name in view && typeof view[name] !== 'object') view[name] = typeof view[name] === 'number' ? +value : value;
  }
  $('#seed').value = view.seed;
}

const restore = (file) => attempt(async () => {
  const said = await (await put('/restore', file)).json();
  view.controls = {};
  view.directions = {};
  view.class = '';
  read(new URLSearchParams(said.address));
  $('#run').value = view.run;
  await choose();
  if (said.note) {
    $('#note').textContent = said.note;
    $('#note').hidden = false;
  }
});

async function start() {
  const found = parameters();
  const runs = await ask('/api/runs');
  const fits = runs.filter((run) => run.takes !== 'images');
  view.run = fits.find((run) => run.last)?.run ?? '';
  read(found);
  const shown = runs.filter((run) => fits.includes(run) || run.run === view.run);
  $('#run').replaceChildren(...shown.map((run) => el('option', {value: run.run, disabled: !run.last},
    run.run + (run.last ? '' : ' (no checkpoint yet)'))));
  $('#run').value = view.run;
  $('#run').addEventListener('change', () => {
    view.run = $('#run').value;
    view.checkpoint = 'last';
    choose();
  });
  $('#seed').addEventListener('change', () => { view.seed = $('#seed').value; changed(); });
  $('#dice').addEventListener('click', reseed);
  $('#class').addEventListener('change', () => { view.class = $('#class').value; parts(); changed(); });
  $('#form').addEventListener('submit', (event) => event.preventDefault());
  $('#film').replaceChildren(el('button', {type: 'button', onclick: play}, 'Play'));
  picture.addEventListener('click', open);
  copying($('#copy-command'), () => $('#command').textContent);
  copying($('#copy-python'), () => $('#python').textContent);
  const move = (event) => {
    const box = $('#pad').getBoundingClientRect();
    const share = (value, size) => Math.round(100 * Math.min(1, Math.max(0, value / size))) / 100;
    view.x = share(event.clientX - box.left, box.width);
    view.y = share(event.clientY - box.top, box.height);
    for (const name of ['x', 'y']) axes[name].set(view[name]);
    point();
    changed(true);
  };
  $('#pad').addEventListener('pointerdown', (event) => { $('#pad').setPointerCapture(event.pointerId); move(event); });
  $('#pad').addEventListener('pointermove', (event) => { if (event.buttons) move(event); });
  dropped(restore);
  keys({
    Enter: ['Another seed', reseed],
    '[': ['The checkpoint before', () => step(-1)],
    ']': ['The checkpoint after', () => step(1)],
    ' ': ['Play or pause the walk', () => { if (view.kind === 'walk') play(); }],
  });
  if (!view.run) {
    say('No run that makes images from nothing but a seed has a checkpoint yet. The page Train shows what is going on.');
    return;
  }
  await choose();
}

attempt(start);
