// The grids of several runs under one slider over kimg: each shows its newest that is not newer than where it stands.

import {$, attempt, el, fetched, newest, show, slider} from './shared.js';
import {kimgs, nearest, swatch} from './plots.js';

// Bytes of pictures kept, and milliseconds between two while it plays.
const KEPT = 48 << 20, PACE = 160;

/** The files that were asked for last, as long as they have few bytes together. */
const files = new Map();
let bytes = 0;
async function file(address) {
  let blob = files.get(address);
  if (blob) files.delete(address);
  else {
    blob = await fetched(address);
    if (!blob.size) return blob;
    bytes += blob.size;
  }
  files.set(address, blob);
  for (const [old, {size}] of files) {
    if (bytes <= KEPT || files.size === 1) break;
    files.delete(old);
    bytes -= size;
  }
  return blob;
}

/** The newest of an ascending list that is not above `kimg`; -1: there is none. */
export function upTo(list, kimg) {
  const i = list.length ? nearest(list, kimg) : -1;
  return i >= 0 && list[i] > kimg + 1e-9 ? i - 1 : i;
}

/**
 * The part of the page. `moved(kimg)` is told where the slider is: a kimg, or null for always the newest.
 */
export class Grids {
  constructor(moved) {
    this.moved = moved;
    this.kimg = null;
    this.stops = [];
    this.figures = new Map();
    this.sets = new Map();
    this.slider = slider({name: 'kimg', label: 'Shown at', low: 0, high: 0, step: 1, value: 0, format: (i) => this.words(i)},
      (i) => { this.stop(); this.go(i); });
    $('#kimg').append(this.slider.element);
    $('#play').addEventListener('click', () => this.play());
    $('#real').addEventListener('change', () => this.real());
    new ResizeObserver(() => this.fit()).observe($('#grids'));
  }

  words(i) {
    if (!this.stops.length) return 'no grid yet';
    return `${kimgs(this.stops[i])} kimg${i === this.stops.length - 1 ? ', newest' : ''}`;
  }

  get index() {
    return this.kimg === null ? this.stops.length - 1 : Math.max(0, upTo(this.stops, this.kimg));
  }

  /** What is shown now. */
  get at() {
    return this.stops.length ? this.stops[this.index] : null;
  }

  /** Takes the runs: [{run, style, grids, gone, set, sampled}]; `set`: what their real images are of;
   * `sampled`: whether the page Sample shows it. */
  update(runs) {
    this.runs = runs;
    this.stops = [...new Set(runs.flatMap((run) => run.grids))].sort((a, b) => a - b);
    $('#grids-part').hidden = !this.stops.length;
    this.slider.input.max = Math.max(0, this.stops.length - 1);
    this.slider.set(Math.max(0, this.index));
    for (const name of this.figures.keys()) {
      if (!runs.some((entry) => entry.run === name)) {
        this.figures.get(name).element.remove();
        this.figures.delete(name);
      }
    }
    runs.forEach((entry, i) => {
      if (!this.figures.has(entry.run)) this.figures.set(entry.run, this.figure(entry));
      const {element} = this.figures.get(entry.run);
      if ($('#grids').children[i] !== element) $('#grids').insertBefore(element, $('#grids').children[i] ?? null);
    });
    $('#grids').classList.toggle('few', runs.length === 1);
    this.draw();
    this.real();
  }

  figure({run, style, sampled}) {
    const image = el('img', {alt: '', 'data-state': 'none'}), words = el('small', {});
    const link = el('a', {href: `/sample?${new URLSearchParams({run})}`}, 'Sample');
    const element = el('figure', {className: 'sheet', 'data-run': run}, el('figcaption', {}, swatch(style), ' ', el('strong', {}, run), el('br'), words, ...(sampled ? [' ', link] : [])),
      image);
    const draw = newest(async (kimg) => {
      if (kimg === null || image.dataset.kimg === String(kimg)) return;
      image.dataset.state = 'drawing';
      const blob = await file(`/train/grid.png?${new URLSearchParams({run, kimg})}`);
      if (blob.size) {
        await show(image, blob);
        this.narrow(image);
        image.alt = `Samples of ${run} at ${kimgs(kimg)} kimg`;
        image.dataset.kimg = kimg;
      }
      image.dataset.state = blob.size ? 'shown' : 'gone';
    });
    return {element, image, words, draw};
  }

  /** Shows what belongs under the slider. */
  draw() {
    for (const {run, grids, gone} of this.runs) {
      const {draw, words, image} = this.figures.get(run);
      const i = this.at === null ? -1 : upTo(grids, this.at);
      image.hidden = i < 0;
      words.textContent = i < 0 ? (grids.length ? `no grid yet at ${kimgs(this.at)} kimg` : 'no grid yet')
        : `${kimgs(grids[i])} kimg${i === grids.length - 1 ? ', its newest' : ''}`;
      if (i >= 0 && !(gone && image.dataset.state === 'gone')) draw(grids[i]);
    }
  }

  /** To a stop by its number. */
  go(i) {
    const next = Math.min(this.stops.length - 1, Math.max(0, i));
    this.kimg = next === this.stops.length - 1 ? null : this.stops[next];
    this.slider.set(next);
    this.draw();
    this.moved(this.kimg);
  }

  step(by) {
    this.stop();
    if (this.stops.length) this.go(this.index + by);
  }

  /** To the newest stop that is not newer than a kimg. */
  to(kimg) {
    this.stop();
    if (this.stops.length) this.go(upTo(this.stops, kimg));
  }

  stop() {
    this.playing = 0;
    $('#play').textContent = 'Play';
  }

  async play() {
    if (this.playing) {
      this.stop();
      return;
    }
    const mine = this.playing = Math.random();
    $('#play').textContent = 'Pause';
    if (this.index === this.stops.length - 1) this.go(0);
    while (this.playing === mine) {
      await new Promise((done) => setTimeout(done, PACE));
      if (this.playing !== mine) return;
      if (this.index >= this.stops.length - 1) this.stop();
      else this.go(this.index + 1);
    }
  }

  /** Real images beside the grids, once a set, where they are asked for. */
  real() {
    const wanted = $('#real').checked ? this.runs.filter(({run, set}, i) => set && this.runs.findIndex((other) => other.set === set) === i) : [];
    for (const [set, {element}] of this.sets) if (!wanted.some((entry) => entry.set === set)) element.remove();
    for (const {run, set} of wanted) {
      if (!this.sets.has(set)) this.sets.set(set, this.ofSet(run, set));
      const {element} = this.sets.get(set);
      if (!element.isConnected || element.nextElementSibling?.dataset.run) $('#grids').append(element);
    }
  }

  ofSet(run, set) {
    const image = el('img', {className: 'pixels', alt: ''}), words = el('small', {}, 'spread over the set');
    const element = el('figure', {className: 'sheet'}, el('figcaption', {}, el('strong', {}, `Real images of ${set}`), el('br'), words), image);
    attempt(async () => {
      const blob = await file(`/train/real.png?${new URLSearchParams({run})}`);
      if (blob.size) {
        await show(image, blob);
        this.narrow(image);
        image.alt = `Real images of ${set}`;
      } else {
        words.textContent = 'the set is not there any more';
        image.hidden = true;
      }
    });
    return {element, image};
  }

  /** As large as there is room: by a whole factor where one nearly fills it, else smoothly. */
  narrow(image) {
    const room = Math.min(image.parentElement.clientWidth, 484), factor = room / image.naturalWidth;
    const whole = Math.floor(factor);
    const crisp = whole >= 1 && whole * image.naturalWidth >= 0.75 * room;
    image.classList.toggle('pixels', crisp || factor >= 3);
    image.width = Math.round((crisp ? whole : factor) * image.naturalWidth);
  }

  fit() {
    for (const {image} of [...this.figures.values(), ...this.sets.values()]) if (image.naturalWidth && image.isConnected) this.narrow(image);
  }
}
