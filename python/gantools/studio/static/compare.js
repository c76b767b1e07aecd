// Two checkpoints with the same seeds: side by side, one wiped over the other, or in turn.

import {$, attempt, el, fetched, newest, scale, show, slider} from './shared.js';
import {kimgs} from './plots.js';

const MODES = {side: 'Side by side', wipe: 'Wipe', blink: 'Blink'};
const BLINK = 800, TALL = 640;

/** How many images: of few classes whole rows of each, as their grids have a row a class; else 16. */
const images = (classes) => (classes > 1 && classes <= 16 ? classes * Math.min(8, Math.floor(64 / classes)) : 16);

/** The part of the page. `changed()` is told when what is seen becomes another. */
export class Compare {
  constructor(changed) {
    this.changed = changed;
    this.mode = 'side';
    this.seed = '0';
    this.wiped = 50;
    // Whose checkpoint each is; an empty run: none was chosen yet.
    this.sides = {a: {run: '', checkpoint: ''}, b: {run: '', checkpoint: ''}};
    this.runs = [];
    this.draw = {a: newest((fast) => this.picture('a', fast)), b: newest((fast) => this.picture('b', fast))};
    this.still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    $('#modes').append(...Object.entries(MODES).map(([value, words]) => el('label', {},
      el('input', {type: 'radio', name: 'mode', value, onchange: () => this.look(value)}), el('span', {}, words))));
    this.wipe = slider({name: 'wipe', label: 'Left of here the first', low: 0, high: 100, step: 1, value: 50, format: (value) => `${value} %`},
      (value) => this.cut(value));
    $('#wipe').append(this.wipe.element);
    $('#compare').addEventListener('toggle', () => { this.open(); changed(); });
    $('#seed').addEventListener('change', () => { this.seed = $('#seed').value || '0'; this.both(); changed(); });
    $('#dice').addEventListener('click', () => this.another());
    $('#blink').addEventListener('click', () => { this.still = !this.still; this.blink(); });
    $('#swap').addEventListener('click', () => this.swap());
    const drag = (event) => {
      const {left, width} = $('#image-a').getBoundingClientRect();
      this.wipe.set(Math.round(Math.min(100, Math.max(0, 100 * (event.clientX - left) / width))));
      this.cut(+this.wipe.input.value);
    };
    const panes = $('#versus .panes');
    panes.addEventListener('pointerdown', (event) => {
      if (this.mode !== 'wipe') return;
      panes.setPointerCapture(event.pointerId);
      drag(event);
    });
    panes.addEventListener('pointermove', (event) => { if (this.mode === 'wipe' && event.buttons) drag(event); });
    new ResizeObserver(() => this.fit()).observe(panes);
  }

  /** Whether it is seen. */
  get opened() {
    return $('#compare').open;
  }

  /** Takes the runs that may be compared: [{run, checkpoints, best, classes}]. */
  update(runs) {
    const before = JSON.stringify(this.runs);
    this.runs = runs.filter((entry) => entry.checkpoints.length);
    $('#compare-part').hidden = !this.runs.length;
    if (JSON.stringify(this.runs) !== before) this.picks();
  }

  /** What can be chosen on either side. */
  picks() {
    if (!this.runs.length) return;
    for (const [name, side] of Object.entries(this.sides)) {
      const of = this.runs.find((entry) => entry.run === side.run) ?? this.runs[name === 'b' && !side.run && this.runs.length > 1 ? 1 : 0];
      side.run = of.run;
      // The first beside the last of one run; of two runs the last ones.
      if (!of.checkpoints.includes(side.checkpoint)) {
        const early = name === 'a' && (this.runs.length === 1 || this.sides.b.run === of.run);
        side.checkpoint = early ? of.checkpoints[0] : of.checkpoints.at(-1);
      }
      const at = slider({
        name: `checkpoint-${name}`, label: 'Checkpoint', low: 0, high: of.checkpoints.length - 1, step: 1,
        value: of.checkpoints.indexOf(side.checkpoint),
        format: (i) => `${kimgs(+of.checkpoints[i])} kimg${of.checkpoints[i] === of.best?.checkpoint ? ', best' : ''}`,
      }, (i, moving) => {
        side.checkpoint = of.checkpoints[i];
        this.draw[name](moving);
        if (!moving) this.changed();
      });
      const run = el('select', {name: `run-${name}`, onchange: () => {
        Object.assign(side, {run: run.value, checkpoint: ''});
        this.picks();
        $(`#side-${name} select`).focus();
        this.draw[name](false);
        this.changed();
      }}, ...this.runs.map((entry) => el('option', {value: entry.run}, entry.run)));
      run.value = side.run;
      $(`#side-${name}`).replaceChildren(el('label', {}, name === 'a' ? 'First' : 'Second', run), at.element);
    }
  }

  open() {
    if (!this.opened) {
      clearInterval(this.timer);
      return;
    }
    this.look(this.mode);
    this.both();
  }

  both() {
    if (!this.opened) return;
    this.draw.a(false);
    this.draw.b(false);
  }

  another() {
    this.seed = $('#seed').value = String(Math.floor(Math.random() * 2 ** 32));
    this.both();
    this.changed();
  }

  async picture(name, fast) {
    const {run, checkpoint} = this.sides[name], image = $(`#image-${name}`);
    if (!run || !this.opened) return;
    const n = images(this.runs.find((entry) => entry.run === run)?.classes ?? 0);
    const query = new URLSearchParams({run, checkpoint, kind: 'grid', seed: this.seed, n, ...(fast ? {fast: 1} : {})});
    $('#versus').dataset.state = 'drawing';
    const words = `${run}, ${kimgs(+checkpoint)} kimg`;
    const blob = await attempt(() => fetched(`/picture.png?${query}`));
    $(`#name-${name}`).textContent = blob ? words : `${words}: cannot be shown, see below`;
    if (!blob) {
      $('#versus').dataset.state = 'wrong';
      return;
    }
    await show(image, blob);
    image.alt = `${n} images of ${words}, seed ${this.seed}`;
    image.dataset.shown = `${run}/${checkpoint}/${this.seed}`;
    this.fit();
    const settled = Object.entries(this.sides).every(([side, of]) => $(`#image-${side}`).dataset.shown === `${of.run}/${of.checkpoint}/${this.seed}`);
    $('#versus').dataset.state = settled ? 'settled' : 'drawing';
  }

  look(mode) {
    this.mode = mode;
    $('#versus').dataset.mode = mode;
    for (const input of document.querySelectorAll('#modes input')) input.checked = input.value === mode;
    $('#wipe').hidden = mode !== 'wipe';
    $('#blinking').hidden = mode !== 'blink';
    this.wipe.set(this.wiped);
    this.cut(this.wiped);
    this.blink();
    this.fit();
    this.changed();
  }

  cut(value) {
    this.wiped = value;
    $('#image-b').style.clipPath = this.mode === 'wipe' ? `inset(0 0 0 ${value}%)` : '';
    $('#cut').hidden = this.mode !== 'wipe';
    $('#cut').style.left = `${$('#image-b').clientWidth * value / 100}px`;
    this.changed();
  }

  blink() {
    clearInterval(this.timer);
    $('#blink').textContent = this.still ? 'Go on' : 'Pause';
    this.turn(false);
    if (this.mode === 'blink' && !this.still) this.timer = setInterval(() => this.turn(!this.second), BLINK);
  }

  /** Shows the one or the other. */
  turn(second) {
    this.second = second;
    const blinks = this.mode === 'blink';
    $('#image-b').classList.toggle('out', blinks && !second);
    $('#name-a').classList.toggle('out', blinks && second);
    $('#name-b').classList.toggle('out', blinks && !second);
  }

  /** By hand. */
  swap() {
    this.still = true;
    const next = this.mode !== 'blink' || !this.second;
    if (this.mode !== 'blink') this.look('blink');
    this.blink();
    this.turn(next);
  }

  /** Both in one size, by whole factors of the smaller room. */
  fit() {
    const shown = ['a', 'b'].map((name) => $(`#image-${name}`)).filter((image) => image.naturalWidth);
    if (!shown.length) return;
    const wide = Math.max(...shown.map((image) => image.naturalWidth)), high = Math.max(...shown.map((image) => image.naturalHeight));
    // The height counts as well: all of it is to be seen at once.
    const width = wide * Math.min(scale(wide, shown[0].parentElement.clientWidth), Math.max(1, Math.floor(TALL / high)));
    for (const image of shown) image.width = width;
    $('#versus .names').style.maxWidth = this.mode === 'side' ? '' : `max(20rem, ${shown[0].clientWidth}px)`;
    $('#cut').style.left = `${shown[0].clientWidth * this.wiped / 100}px`;
  }
}
