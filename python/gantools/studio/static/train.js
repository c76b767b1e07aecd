// The page Train: runs as they stand, their curves, signs, grids and checkpoints, asked for again while it is looked at.

import {$, ask, attempt, copying, el, keys, parameters, replace, say, slider} from './shared.js';
import {Plot, figure, kimgs, nearest, swatch} from './plots.js';
import {Grids} from './grids.js';
import {Compare} from './compare.js';

// Milliseconds between two questions; runs chosen at once; points of a curve that are kept at most; runs that need a filter.
const PAUSE = 1500, MOST = 8, POINTS = 20000, MANY = 8;
const HEALTH = 4000; // milliseconds between two looks at what goes wrong
const SAYS = ['real_score', 'fake_score', 'discriminator_score'], SHARES = ['sample_diversity', 'sample_duplicates'];
const SPEED = ['img_per_s', 'peak_memory_mib'];
const FOLDED = {rates: 'Learning rates', speed: 'Speed and memory', further: 'Penalties and other figures'};

// What is looked at; `kimg` null: always the newest grids.
const view = {runs: [], smooth: 2, log: false, folds: new Set()};
const facts = new Map(); // of each run, what the list says of it
const cards = new Map(); // of each run, its elements in the list
const data = new Map(); // of each chosen run, what was read of it
const plots = new Map(); // by what they show
let grids = null, compare = null, stops = [], cross = null, started = false;

function address() {
  const found = new URLSearchParams();
  for (const run of view.runs) found.append('run', run);
  if (grids.kimg !== null) found.set('kimg', grids.kimg);
  if (view.smooth !== 2) found.set('smooth', view.smooth);
  if (view.log) found.set('log', 1);
  if (!$('#real').checked) found.set('real', 0);
  if (view.folds.size) found.set('open', [...view.folds].join(','));
  if (compare.opened) {
    found.set('compare', compare.mode);
    for (const [name, {run, checkpoint}] of Object.entries(compare.sides)) {
      found.set(name, run);
      found.set(`${name}-at`, checkpoint);
    }
    found.set('seed', compare.seed);
    if (compare.mode === 'wipe') found.set('wipe', compare.wiped);
  }
  return found.toString();
}

let writing = 0, written = 0;
/** Writes the address, at once or soon: browsers bear few changes of it in a second. */
function remember() {
  if (!started) return;
  clearTimeout(writing);
  writing = setTimeout(() => {
    written = performance.now();
    replace(address());
  }, Math.max(0, written + 150 - performance.now()));
}

// ---------------------------------------------------------------------------------------------- the list of runs

/** A time that is left, in two units at most. */
function span(seconds) {
  const [d, h, m] = [seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60].map(Math.floor);
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min` : `${Math.round(seconds)} s`;
}

/** Its number where it has one: `00004` of `00004-dcgan-mini-fashion-28`. */
const short = (run) => /^\d{5,}(?=-)/.exec(run)?.[0] ?? (run.length > 14 ? `${run.slice(0, 13)}…` : run);

function card(run) {
  const box = el('input', {type: 'checkbox', value: run, onchange: () => toggle(run, box.checked)});
  const made = {box, key: el('span', {className: 'key'}), chip: el('span', {className: 'chip'}), bar: el('progress', {max: 1, value: 0, 'aria-label': `How far ${run} is`}),
    how: el('small', {}), score: el('small', {})};
  made.element = el('li', {className: 'run'}, el('label', {}, box, el('span', {className: 'name'}, run), made.key),
    el('div', {className: 'facts'}, made.chip, made.how), made.bar, made.score);
  return made;
}

function describe(run) {
  const of = facts.get(run), {element, box, key, chip, bar, how, score} = cards.get(run), gone = !of || data.get(run)?.gone;
  const state = gone ? 'gone' : of.state;
  element.dataset.state = state;
  chip.textContent = state;
  box.checked = view.runs.includes(run);
  const style = data.get(run)?.style;
  if (key.dataset.style !== String(style)) {
    key.dataset.style = style;
    key.replaceChildren(...(style === undefined ? [] : [swatch(style)]));
  }
  if (gone) {
    how.textContent = 'Removed meanwhile; what was read of it is still shown.';
    return;
  }
  bar.hidden = !of.target;
  bar.value = of.target ? Math.min(1, (of.kimg ?? 0) / of.target) : 0;
  how.textContent = [
    of.kimg === null ? 'no tick yet' : `${kimgs(of.kimg)}${of.target ? ` of ${kimgs(of.target)}` : ''} kimg`,
    ...(of.speed && state === 'running' ? [`${figure(of.speed)} img/s`] : []),
    ...(of.left !== null ? [`${span(of.left)} left`] : []),
  ].join(' · ');
  score.textContent = [
    ...(of.score ? [`${of.score.metric} ${figure(of.score.value)}`] : []),
    ...(of.best ? [`best ${figure(of.best.value)}, checkpoint ${of.best.checkpoint}`] : []),
  ].join(' · ');
  score.hidden = !score.textContent;
}

/** Takes the list as the server has it now. */
function list(found) {
  const gone = [...facts.keys()].filter((run) => !found.some((entry) => entry.run === run));
  for (const run of gone) {
    facts.delete(run);
    if (!data.has(run)) {
      cards.get(run).element.remove();
      cards.delete(run);
    }
  }
  found.forEach((entry, i) => {
    const {run} = entry, before = facts.get(run);
    facts.set(run, entry);
    if (!cards.has(run)) {
      cards.set(run, card(run));
      if (started) say(`A new run: ${run}.`);
    } else if (before && before.state !== entry.state) say(`${run}: ${entry.state}.`);
    const {element} = cards.get(run), place = $('#runs').children[i];
    if (place !== element) $('#runs').insertBefore(element, place ?? null);
  });
  for (const run of cards.keys()) describe(run);
  $('#filter').hidden = cards.size <= MANY;
  $('#runs-words').textContent = found.length ? `Runs (${found.length})` : 'No run yet';
  filter();
}

function filter() {
  const wanted = $('#filter').value.toLowerCase();
  for (const [run, {element}] of cards) {
    const {recipe = '', data: set = '', state = ''} = facts.get(run) ?? {};
    element.hidden = !view.runs.includes(run) && !`${run} ${recipe} ${set} ${state}`.toLowerCase().includes(wanted);
  }
}

function toggle(run, on) {
  if (on && view.runs.length >= MOST) {
    cards.get(run).box.checked = false;
    say(`${MOST} runs at once are shown at most.`, true);
    return;
  }
  if (on) take(run);
  else {
    view.runs = view.runs.filter((other) => other !== run);
    data.delete(run);
    if (!facts.has(run)) {
      cards.get(run).element.remove();
      cards.delete(run);
    }
  }
  for (const other of cards.keys()) describe(other);
  remember();
  redraw();
  if (on) attempt(() => read(run));
}

/** Chooses a run: the first style that is free is its own. */
function take(run) {
  const taken = new Set([...data.values()].map((entry) => entry.style));
  let style = 0;
  while (taken.has(style)) style++;
  view.runs.push(run);
  data.set(run, {style, ...blank(), grids: [], health: null, looked: 0, seen: -1, gone: false});
}

// --------------------------------------------------------------------------------------------- what runs write

const blank = () => ({inode: '0', offset: 0, nimg: -1, lines: 0, damaged: 0, leftOut: 0, series: new Map(), bands: new Map(), protocols: {}});

/** Keeps memory within bounds: of a long curve, of each stretch the least and the largest. */
function compact(series) {
  const {x, y} = series;
  if (x.length <= POINTS) return;
  const kept = new Set([0, x.length - 1]), stretches = POINTS / 4;
  for (let i = 0; i < stretches; i++) {
    const from = Math.floor(i * x.length / stretches), to = Math.floor((i + 1) * x.length / stretches);
    let low = from, high = from;
    for (let k = from; k < to; k++) {
      if (y[k] < y[low]) low = k;
      if (y[k] > y[high]) high = k;
    }
    kept.add(low).add(high);
  }
  const order = [...kept].sort((a, b) => a - b);
  series.x = order.map((k) => x[k]);
  series.y = order.map((k) => y[k]);
}

/** Reads on in a run; true where something is new. */
async function read(run) {
  const of = data.get(run);
  if (!of || of.reading || of.gone) return;
  of.reading = true;
  let changed = false;
  try {
    for (let more = true; more;) {
      const {inode, offset, nimg} = of;
      const found = await ask(`/api/train/live?${new URLSearchParams({run, inode, offset, nimg})}`);
      if (data.get(run) !== of) return; // it was chosen away
      if (found.gone) {
        of.gone = changed = true;
        say(`${run} was removed meanwhile.`);
        break;
      }
      if (found.again && of.offset > 0) {
        Object.assign(of, blank(), {seen: -1});
        changed = true;
      }
      changed = add(of, found) || changed;
      more = found.more;
    }
  } finally {
    of.reading = false;
  }
  if (changed) {
    describe(run);
    redraw();
  }
  await look(run);
}

function add(of, found) {
  Object.assign(of, {inode: found.inode, offset: found.offset, nimg: found.nimg});
  of.lines += found.lines;
  of.damaged += found.damaged;
  of.leftOut = Math.max(of.leftOut, found.left_out ?? 0);
  for (const [name, values] of Object.entries(found.columns ?? {})) {
    const series = of.series.get(name) ?? {x: [], y: []};
    of.series.set(name, series);
    values.forEach((value, i) => {
      if (value === null) return;
      series.x.push(found.kimg[i]);
      series.y.push(value);
    });
    compact(series);
  }
  for (const [name, rows] of Object.entries(found.bands ?? {})) of.bands.set(name, [...(of.bands.get(name) ?? []), ...rows].slice(-POINTS));
  Object.assign(of.protocols, found.protocols);
  const newer = found.grids && found.grids.join() !== of.grids.join();
  if (newer) of.grids = found.grids;
  return found.lines > 0 || found.damaged > 0 || Boolean(newer);
}

/** Asks what goes wrong in a run, where it wrote something since, and not too often: it is read as a whole for it. */
async function look(run) {
  const of = data.get(run), now = performance.now();
  if (!of || of.gone || of.seen === of.lines || (of.health && now - of.looked < HEALTH)) return;
  Object.assign(of, {looked: now, seen: of.lines});
  const found = await ask(`/api/train/health?${new URLSearchParams({run})}`);
  if (found.gone || data.get(run) !== of) return;
  if (of.health && found.signs.length > of.health.signs.length) say(`${run}: ${found.signs.at(-1).words}`, true);
  of.health = found;
  redraw();
}

async function poll() {
  for (;;) {
    if (!document.hidden) {
      const begun = performance.now();
      await attempt(async () => {
        list(await ask('/api/train/runs'));
        await Promise.all(view.runs.map((run) => read(run)));
        const lines = [...data.values()].reduce((sum, of) => sum + of.lines, 0);
        $('#live').dataset.lines = lines;
        $('#live').textContent = `live, read ${new Date().toLocaleTimeString('en-GB')}`;
        if ($('#status').textContent.startsWith('The studio does not answer')) say('The studio answers again.');
      });
      $('#live').dataset.ms = Math.round(performance.now() - begun);
    }
    await new Promise((done) => { wake = done; setTimeout(done, PAUSE); });
  }
}
let wake = () => {};

// ------------------------------------------------------------------------------------------------- what is drawn

const chosen = () => view.runs.map((run) => ({run, ...data.get(run)}));

/** The plots of the runs: [{id, title, words, fold, plain, level, keys}]; of several runs one a figure. */
function wanted(runs) {
  const names = [...new Set(runs.flatMap((of) => [...of.series.keys()]))];
  const metrics = [...new Set(runs.flatMap((of) => facts.get(of.run)?.metrics ?? of.metrics ?? []))].filter((name) => names.includes(name));
  const having = (list) => list.filter((name) => names.includes(name));
  const parts = [
    {id: 'losses', title: 'Losses', keys: names.filter((name) => name.startsWith('loss_'))},
    {id: 'says', title: 'What the discriminator says', words: 'Where they are probabilities, 0.5 is a draw.', level: true, keys: having(SAYS)},
    {id: 'samples', title: 'How samples differ', words: 'As a share of how real images do; and which share has a twin.', keys: having(SHARES)},
    {id: 'rates', title: 'Learning rates', fold: 'rates', plain: true, keys: names.filter((name) => name.startsWith('lr_'))},
  ];
  const used = new Set([...metrics, ...SPEED, ...parts.flatMap((part) => part.keys)]);
  const alone = (name, more) => ({id: name, title: name, keys: [name], ...more});
  const spread = runs.length > 1
    ? parts.flatMap(({id, words, ...part}) => part.keys.map((name) => ({...part, id: `${id}/${name}`, title: name, keys: [name]})))
    : parts.filter((part) => part.keys.length);
  return [
    ...metrics.map((name) => alone(name, {plain: true, score: true})),
    ...spread,
    ...having(SPEED).map((name) => alone(name, {fold: 'speed'})),
    ...names.filter((name) => !used.has(name)).map((name) => alone(name, {fold: 'further', level: name === 'discriminator_accuracy'})),
  ];
}

/** All signs with their numbers, over all runs. */
function signs(runs) {
  let number = 0;
  return runs.flatMap((of) => (of.health?.signs ?? []).map((sign) => ({...sign, run: of.run})))
    .sort((a, b) => a.kimg - b.kimg).map((sign) => ({...sign, number: ++number}));
}

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function draw() {
  const runs = chosen(), several = runs.length > 1;
  grids.update(runs.map(({run, style, grids: list, gone}) => ({run, style, grids: list, gone, set: facts.get(run)?.data, sampled: facts.get(run)?.latents})));
  compare.update(view.runs.map((run) => facts.get(run)).filter((of) => of?.latents));
  const marks = [...(several || !runs.length ? [] : runs[0].health?.stages ?? []), ...signs(runs)];
  drawHealth(runs, marks);
  drawCurves(runs, marks);
  start(runs);
  $('#stage').dataset.state = !runs.length ? 'none' : runs.every((of) => of.health || of.gone) ? 'shown' : 'reading';
}

function drawCurves(runs, marks) {
  const several = runs.length > 1, parts = wanted(runs), every = runs.flatMap((of) => [...of.series.values()].map(({x}) => x));
  const ends = every.filter((x) => x.length).flatMap((x) => [x[0], x.at(-1)]);
  const domain = ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  const shared = new Set();
  for (const of of runs) for (const key of ['loss_d', 'loss_g', 'seconds', 'img_per_s']) for (const at of of.series.get(key)?.x ?? []) shared.add(at);
  stops = [...shared].sort((a, b) => a - b);
  const folds = {};
  for (const part of parts) if (part.fold) (folds[part.fold] ??= []).push(part);
  place($('#plots'), parts.filter((part) => !part.fold).map((part) => plot(part).element));
  for (const [name, title] of Object.entries(FOLDED)) fold(name, title, folds[name] ?? []);
  for (const [id, {element}] of plots) if (!element.isConnected) plots.delete(id);
  for (const part of parts) {
    const shown = plot(part);
    if (part.fold && !view.folds.has(part.fold)) continue;
    const curves = runs.flatMap((of) => part.keys.map((key, i) => ({key, of, style: several ? of.style : i, series: of.series.get(key)})))
      .filter(({series}) => series)
      .map(({key, of, style, series}) => ({
        label: several ? short(of.run) : key, short: several ? short(of.run) : key.replace(/^(lr|sample)_/, '').replace('_score', ''), style,
        x: series.x, y: series.y, plain: part.plain, band: of.bands.get(key),
      }));
    const how = part.score ? [...new Set(runs.map((of) => of.protocols[part.keys[0]]).filter(Boolean))] : [];
    shown.draw({curves, domain, marks, here: grids.at, level: part.level, log: view.log, share: view.smooth / 100});
    shown.how.textContent = how.length > 1 ? `Measured in different ways, not to be compared: ${how.join(' | ')}` : how[0] ?? '';
    shown.how.hidden = !how.length;
    shown.how.classList.toggle('note', how.length > 1);
  }
}

/** Puts elements into a place in their order, and moves none that stands right. */
function place(into, elements) {
  elements.forEach((element, i) => { if (into.children[i] !== element) into.insertBefore(element, into.children[i] ?? null); });
  while (into.children.length > elements.length) into.lastElementChild.remove();
}

function plot({id, title, words}) {
  if (!plots.has(id)) {
    const made = new Plot(title, words, {
      moved: (kimg, by) => {
        if (by !== undefined) {
          const from = cross === null ? (by > 0 ? -1 : stops.length) : nearest(stops, cross);
          hover(stops[Math.min(stops.length - 1, Math.max(0, from + by))] ?? null);
        } else hover(kimg === null || !stops.length ? null : stops[nearest(stops, kimg)]);
      },
      chosen: (kimg) => grids.to(kimg),
    });
    made.how = el('small', {hidden: true});
    made.element.append(made.how);
    plots.set(id, made);
  }
  return plots.get(id);
}

/** The crosshair of all plots. */
function hover(kimg) {
  if (kimg === cross) return;
  cross = kimg;
  for (const [, one] of plots) one.point(kimg);
  $('#at').textContent = kimg === null ? '' : `${kimgs(kimg)} kimg`;
}

const details = new Map();
function fold(name, title, parts) {
  if (!details.has(name)) {
    const inner = el('div', {className: 'plots'}), words = el('small', {});
    const made = el('details', {open: view.folds.has(name), ontoggle: () => {
      view.folds[made.open ? 'add' : 'delete'](name);
      remember();
      redraw();
    }}, el('summary', {}, title, ' ', words), inner);
    details.set(name, {made, inner, words});
    $('#folded').append(made);
  }
  const {made, inner, words} = details.get(name);
  made.hidden = !parts.length;
  words.textContent = parts.flatMap((part) => part.keys).slice(0, 6).join(', ');
  place(inner, parts.map((part) => plot(part).element));
}

function drawHealth(runs, marks) {
  const numbered = marks.filter((mark) => mark.number);
  const key = JSON.stringify([runs.map(({run, style, health, damaged, leftOut, gone}) => [run, style, health, damaged, leftOut, gone])]);
  if ($('#health').dataset.key === key) return;
  $('#health').dataset.key = key;
  $('#health').replaceChildren(...runs.map(({run, style, health, leftOut, gone}) => {
    const mine = numbered.filter((mark) => mark.run === run);
    const notes = [...(health?.notes ?? []), ...(leftOut ? [`${leftOut} further figures are not drawn.`] : []),
      ...(gone ? ['This run was removed meanwhile; what was read of it is still shown.'] : [])];
    const bad = health?.now || ['diverged', 'collapsed', 'stands still', 'discriminator wins', 'worse'].includes(health?.word);
    return el('div', {className: `verdict${bad ? ' bad' : ''}`},
      el('p', {}, swatch(style), ' ', ...(runs.length > 1 ? [el('strong', {}, run), ' '] : []),
        ...(health ? [el('b', {className: 'chip'}, health.word), ' ', health.sentence.replace(', see below', '')] : ['reading ...'])),
      ...(mine.length ? [el('details', {open: !bad && mine.length <= 3}, el('summary', {}, `${mine.length} sign${mine.length > 1 ? 's' : ''} of trouble`),
        el('ol', {className: 'signs'}, ...mine.map((mark) => el('li', {value: mark.number}, el('b', {}, `⚠ since ${kimgs(mark.kimg)} kimg`), ` ${mark.words}`))))] : []),
      ...notes.map((note) => el('p', {className: 'quiet'}, note)));
  }));
}

/** The commands for what is chosen. */
function start(runs) {
  const of = runs.map(({run}) => facts.get(run)).find(Boolean);
  $('#again').textContent = of?.again ?? 'gantools train RECIPE';
  $('#resume-part').hidden = of?.state !== 'stopped';
  $('#resume').textContent = of?.resume ?? '';
}

// ------------------------------------------------------------------------------------------------------ beginning

function controls(found) {
  const number = (name, low, high, value) => (found.has(name) && Number.isFinite(+found.get(name)) ? Math.min(high, Math.max(low, +found.get(name))) : value);
  view.smooth = number('smooth', 0, 20, 2);
  view.log = found.get('log') === '1';
  view.folds = new Set((found.get('open') ?? '').split(',').filter((name) => name in FOLDED));
  $('#smoothing').append(slider({name: 'smooth', label: 'Smoothing', low: 0, high: 20, step: 0.5, value: view.smooth,
    format: (value) => (value ? `${value} %` : 'none')}, (value) => { view.smooth = value; remember(); redraw(); }).element);
  $('#smoothing').title = 'What was counts half after so much of the curve.';
  $('#log').checked = view.log;
  $('#log').addEventListener('change', () => { view.log = $('#log').checked; remember(); redraw(); });
  $('#filter').addEventListener('input', filter);
  $('#form').addEventListener('submit', (event) => event.preventDefault());
  $('#real').checked = found.get('real') !== '0';
  $('#real').addEventListener('change', remember);
  grids = new Grids(() => { remember(); redraw(); });
  if (found.has('kimg')) grids.kimg = number('kimg', 0, 1e12, null);
  compare = new Compare(remember);
  if (found.has('compare')) {
    compare.mode = ['side', 'wipe', 'blink'].includes(found.get('compare')) ? found.get('compare') : 'side';
    for (const [name, side] of Object.entries(compare.sides)) Object.assign(side, {run: found.get(name) ?? '', checkpoint: found.get(`${name}-at`) ?? ''});
    if (/^\d{1,19}$/.test(found.get('seed') ?? '')) compare.seed = $('#seed').value = found.get('seed');
    compare.wiped = number('wipe', 0, 100, 50);
  }
  copying($('#copy-again'), () => $('#again').textContent);
  copying($('#copy-resume'), () => $('#resume').textContent);
  keys({
    '[': ['The grids before', () => grids.step(-1)],
    ']': ['The grids after', () => grids.step(1)],
    p: ['Play or pause the grids', () => grids.play()],
    l: ['Logarithmic axes, or not', () => $('#log').click()],
    c: ['Open or close the two checkpoints', () => { $('#compare').open = !$('#compare').open; }],
    s: ['Two checkpoints side by side', () => compare.look('side')],
    w: ['Wipe', () => compare.look('wipe')],
    b: ['Blink', () => compare.look('blink')],
    x: ['Of two checkpoints the other', () => compare.swap()],
    '← →': ['On a curve: the crosshair; Enter shows the grids of that moment', () => {}],
  });
}

async function begin() {
  const found = parameters();
  controls(found);
  list(await ask('/api/train/runs'));
  const asked = found.getAll('run').slice(0, MOST), missing = asked.filter((run) => !facts.has(run));
  const there = [...new Set(asked)].filter((run) => facts.has(run));
  const all = [...facts.values()];
  const first = all.find((of) => of.state === 'running') ?? all.find((of) => of.kimg !== null) ?? all[0];
  for (const run of there.length ? there : asked.length || !first ? [] : [first.run]) take(run);
  for (const run of cards.keys()) describe(run);
  if (missing.length) say(`Not there (any more): ${missing.join(', ')}.`, true);
  else if (!all.length) say('No run yet. The command below begins one.');
  let width = 0;
  new ResizeObserver(([{contentRect}]) => {
    if (Math.round(contentRect.width) !== width) redraw();
    width = Math.round(contentRect.width);
  }).observe($('#curves'));
  document.addEventListener('visibilitychange', () => { if (!document.hidden) wake(); });
  draw();
  started = true;
  if (found.has('compare')) $('#compare').open = true;
  poll();
}

attempt(begin);
