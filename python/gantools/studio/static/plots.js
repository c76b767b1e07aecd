// Curves as SVG, drawn by hand: thinned by columns of pixels without losing a spike, on axes that plots share.

import {el} from './shared.js';

/** How many colours and dashes lines have; together they tell 20 lines apart. */
export const COLOURS = 5, DASHES = 4;
const LEFT = 54, TOP = 16, BOTTOM = 24, HEIGHT = 220, LABEL = 13, DOTS = 60;

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The class of a line: colours first, then dashes. */
export const classes = (style) => `s${style % COLOURS} d${style % DASHES}`;

/** A short piece of a line, for a legend. */
export const swatch = (style) => svg('svg', {class: 'swatch', viewBox: '0 0 28 8', width: 28, height: 8, 'aria-hidden': 'true'},
  svg('path', {class: `line ${classes(style)}`, d: 'M0,4H28'}));

/** A figure in a few characters. */
export function figure(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return '–';
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace('e+', 'e');
  return size >= 1e4 ? Math.round(value).toLocaleString('en') : String(+value.toPrecision(4));
}

/** Thousands of images. */
export const kimgs = (value) => value.toLocaleString('en', {maximumFractionDigits: 3});

/** Round numbers between two, about as many as wanted. */
export function ticks(low, high, wanted) {
  const rough = 10 ** Math.floor(Math.log10((high - low) / wanted));
  const step = rough * ([1, 2, 5].find((k) => (high - low) / (k * rough) <= wanted) ?? 10);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) found.push(k * step);
  return found;
}

/** Where the point nearest to `at` is in an ascending list. */
export function nearest(list, at) {
  let low = 0, high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - list[low - 1] <= list[low] - at ? low - 1 : low;
}

/**
 * The moving average in which what was counts half after a share of all points (of one at least); as in a report:
 * m = b m + (1 - b) y, divided by 1 - b^t (Kingma and Ba 2015, section 3).
 */
export function smoothed(values, share) {
  if (!share) return values;
  const decay = 0.5 ** (1 / Math.max(1, share * values.length));
  let mean = 0, weight = 0;
  return values.map((value) => {
    mean = decay * mean + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return mean / weight;
  });
}

/** The path of a line: of each column of pixels the first, the least, the largest and the last point. */
function path(x, y, xOf, yOf) {
  const parts = [];
  const put = (i) => parts.push(`${parts.length ? 'L' : 'M'}${xOf(x[i]).toFixed(1)},${yOf(y[i]).toFixed(1)}`);
  for (let i = 0; i < x.length;) {
    const column = Math.floor(xOf(x[i]));
    let low = i, high = i, j = i;
    for (; j < x.length && Math.floor(xOf(x[j])) === column; j++) {
      if (y[j] < y[low]) low = j;
      if (y[j] > y[high]) high = j;
    }
    for (const k of [...new Set([i, Math.min(low, high), Math.max(low, high), j - 1])]) put(k);
    i = j;
  }
  return parts.join('');
}

/** The ends of an axis that is not empty. */
function apart(low, high) {
  if (high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high))) return [low, high];
  const room = low || high ? Math.max(1e-9, 0.05 * Math.abs(low)) : 0.5;
  return [low - room, high + room];
}

function ends(lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

/** Only those points that a logarithmic axis has. */
function positive({x, y}) {
  const kept = y.map((value, i) => [x[i], value]).filter(([, value]) => value > 0);
  return {x: kept.map(([at]) => at), y: kept.map(([, value]) => value)};
}

/**
 * A plot with its legend. `moved(kimg, by)` is told where the crosshair is to be: a place, or null for nowhere; with
 * `by`, so many points from where it is. `chosen(kimg)` is told of a click.
 */
export class Plot {
  constructor(title, words, {moved, chosen}) {
    this.title = title;
    this.legend = el('p', {className: 'legend'});
    this.note = el('small', {hidden: true});
    const at = (event) => this.scale && this.scale.kimgOf(event.clientX - this.canvas.getBoundingClientRect().left);
    const steps = {ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10, ArrowDown: -1, ArrowUp: 1, Home: -Infinity, End: Infinity};
    this.canvas = el('div', {
      className: 'canvas', tabIndex: 0, role: 'slider', 'aria-label': `${title}: crosshair over kimg`, 'aria-orientation': 'horizontal',
      onpointermove: (event) => moved(at(event)),
      onpointerleave: () => moved(null),
      onclick: (event) => chosen(at(event)),
      onblur: () => moved(null),
      onkeydown: (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key in steps) moved(null, steps[event.key]);
        else if (event.key === 'Escape') moved(null);
        else if (event.key === 'Enter' && this.cross !== null) chosen(this.cross);
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    });
    this.element = el('figure', {className: 'plot'},
      el('figcaption', {}, el('strong', {}, title), ...(words ? [' ', el('small', {}, words)] : [])), this.legend, this.canvas, this.note);
    this.cross = null;
  }

  /**
   * Draws.
   *   curves: [{label, short, style, x, y, plain, band}]; `plain`: as it is, not smoothed; `band`: [[kimg, low, high]].
   *   domain: the ends of the kimg axis; here: the kimg of the grids that are shown; marks: [{kimg, words, number}].
   *   level: whether values from 0 to 1 get a line at 0.5; log: logarithmic; share: see `smoothed`.
   */
  draw({curves, domain, here, marks, level, log, share}) {
    const width = Math.max(240, this.canvas.clientWidth), lost = [];
    this.drawn = curves.map((curve) => {
      const kept = log ? positive(curve) : curve;
      if (kept.y.length < curve.y.length) lost.push(`${curve.y.length - kept.y.length} of ${curve.label}`);
      return {...curve, x: kept.x, y: kept.y, line: curve.plain ? kept.y : smoothed(kept.y, share)};
    });
    const full = this.drawn.filter((curve) => curve.x.length);
    this.note.hidden = !lost.length;
    this.note.textContent = lost.length ? `Not above 0, so left out: ${lost.join(', ')}.` : '';
    const bands = (curve) => (curve.band ?? []).filter(([, low]) => !log || low > 0);
    let [low, high] = ends([...full.map((curve) => curve.y), ...full.map((curve) => bands(curve).flatMap(([, l, h]) => [l, h]))]);
    const half = level && !log && low >= 0 && high <= 1;
    if (half) [low, high] = [Math.min(low, 0.5), Math.max(high, 0.5)];
    if (!full.length) [low, high] = [log ? 1 : 0, log ? 10 : 1];
    const to = log ? Math.log10 : (value) => value;
    const [bottom, top] = apart(to(low), to(high)), [first, last] = apart(...domain);
    const labels = full.map((curve) => curve.short);
    const right = width - Math.min(120, 10 + 6.6 * Math.max(4, ...labels.map((label) => label.length)));
    const xOf = (kimg) => LEFT + (kimg - first) / (last - first) * (right - LEFT);
    const yOf = (value) => HEIGHT - BOTTOM - (to(value) - bottom) / (top - bottom) * (HEIGHT - BOTTOM - TOP);
    this.scale = {first, last, xOf, yOf, kimgOf: (x) => Math.min(last, Math.max(first, first + (x - LEFT) / (right - LEFT) * (last - first)))};
    const drawn = [];
    const decades = log && top - bottom >= 1;
    const rows = decades
      ? ticks(bottom, top, 5).filter((k) => Number.isInteger(+k.toFixed(9))).map((k) => 10 ** k)
      : log ? ticks(10 ** bottom, 10 ** top, 5).filter((value) => value > 0) : ticks(bottom, top, 5);
    for (const value of rows) {
      drawn.push(svg('path', {class: 'grid', d: `M${LEFT},${yOf(value).toFixed(1)}H${right}`}));
      drawn.push(svg('text', {x: LEFT - 6, y: yOf(value) + 4, 'text-anchor': 'end'}, figure(value)));
    }
    for (const kimg of ticks(first, last, Math.max(2, Math.floor((right - LEFT) / 64)))) {
      drawn.push(svg('path', {class: 'axis', d: `M${xOf(kimg).toFixed(1)},${HEIGHT - BOTTOM}v4`}));
      drawn.push(svg('text', {x: xOf(kimg), y: HEIGHT - BOTTOM + 16, 'text-anchor': 'middle'}, kimgs(+kimg.toPrecision(9))));
    }
    drawn.push(svg('path', {class: 'axis', d: `M${LEFT},${HEIGHT - BOTTOM}H${right}`}));
    drawn.push(svg('text', {x: right + 6, y: HEIGHT - BOTTOM + 16, class: 'unit'}, 'kimg'));
    if (half) drawn.push(svg('path', {class: 'level', d: `M${LEFT},${yOf(0.5).toFixed(1)}H${right}`}));
    const numbers = [];
    for (const {kimg, words, number} of marks) {
      if (kimg < first || kimg > last) continue;
      drawn.push(svg('path', {class: number ? 'event' : 'stage-mark', d: `M${xOf(kimg).toFixed(1)},${TOP}V${HEIGHT - BOTTOM}`},
        svg('title', {}, `${kimgs(kimg)} kimg: ${words}`)));
      if (number) numbers.push([xOf(kimg), number]);
    }
    // Numbers that would cover each other stand together.
    for (let i = 0; i < numbers.length;) {
      let j = i + 1;
      while (j < numbers.length && numbers[j][0] - numbers[j - 1][0] < 24) j++;
      const together = numbers.slice(i, j), middle = (together[0][0] + together.at(-1)[0]) / 2;
      const words = together.length > 4 ? `${together[0][1]}–${together.at(-1)[1]}` : together.map(([, number]) => number).join(' ');
      drawn.push(svg('text', {x: middle, y: TOP - 4, 'text-anchor': 'middle', class: 'sign'}, `⚠ ${words}`));
      i = j;
    }
    if (here !== null && here >= first && here <= last) {
      drawn.push(svg('path', {class: 'here', d: `M${xOf(here).toFixed(1)},${TOP}V${HEIGHT - BOTTOM}`}));
      drawn.push(svg('path', {class: 'here-foot', d: `M${xOf(here).toFixed(1)},${HEIGHT - BOTTOM}l-5,7h10z`}));
    }
    for (const curve of full) {
      const band = bands(curve);
      if (band.length) {
        const upper = band.map(([kimg, , value]) => `${xOf(kimg).toFixed(1)},${yOf(value).toFixed(1)}`);
        const lower = band.map(([kimg, value]) => `${xOf(kimg).toFixed(1)},${yOf(value).toFixed(1)}`).reverse();
        drawn.push(svg('polygon', {class: `band f${curve.style % COLOURS}`, points: [...upper, ...lower].join(' ')}));
      }
      if (!curve.plain && share) drawn.push(svg('path', {class: `raw s${curve.style % COLOURS}`, d: path(curve.x, curve.y, xOf, yOf)}));
      drawn.push(svg('path', {class: `line ${classes(curve.style)}`, d: path(curve.x, curve.line, xOf, yOf)}));
      if (curve.x.length <= (curve.plain ? DOTS : 1)) {
        curve.x.forEach((kimg, i) => drawn.push(svg('circle', {class: `f${curve.style % COLOURS}`, cx: xOf(kimg), cy: yOf(curve.line[i]), r: 2.5})));
      }
    }
    let free = TOP - 4;
    for (const curve of [...full].sort((a, b) => yOf(a.line.at(-1)) - yOf(b.line.at(-1)))) {
      const y = Math.max(yOf(curve.line.at(-1)), free);
      if (y > HEIGHT - BOTTOM) break;
      free = y + LABEL;
      drawn.push(svg('text', {class: `end t${curve.style % COLOURS}`, x: right + 6, y: y + 4}, curve.short));
    }
    this.hair = svg('g', {class: 'hair', 'aria-hidden': 'true'});
    this.canvas.replaceChildren(svg('svg', {viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, 'aria-hidden': 'true'}, ...drawn, this.hair));
    this.values = this.drawn.map((curve) => {
      const value = el('b', {});
      return {curve, value, entry: el('span', {}, swatch(curve.style), ' ', curve.label, ' ', value)};
    });
    this.legend.replaceChildren(...this.values.map(({entry}) => entry));
    this.point(this.cross);
  }

  /** Puts the crosshair at a kimg, or takes it away, and says the values there. */
  point(kimg) {
    this.cross = kimg;
    if (!this.scale) return;
    const {first, last, xOf, yOf} = this.scale, drawn = [], said = [];
    if (kimg !== null) drawn.push(svg('path', {d: `M${xOf(kimg).toFixed(1)},${TOP}V${HEIGHT - BOTTOM}`}));
    for (const {curve, value} of this.values) {
      // Beyond its end a line has no value.
      const beyond = kimg !== null && (kimg > curve.x.at(-1) || kimg < curve.x[0]);
      const i = kimg === null ? curve.x.length - 1 : nearest(curve.x, kimg);
      value.textContent = beyond || !curve.x.length ? '–' : figure(curve.y[i]);
      said.push(`${curve.label} ${value.textContent}`);
      if (kimg !== null && !beyond && curve.x.length) {
        drawn.push(svg('circle', {class: `f${curve.style % COLOURS}`, cx: xOf(curve.x[i]), cy: yOf(curve.line[i]), r: 4}));
      }
    }
    this.hair.replaceChildren(...drawn);
    const now = kimg ?? last;
    for (const [name, number] of [['valuemin', first], ['valuemax', last], ['valuenow', now]]) this.canvas.setAttribute(`aria-${name}`, number);
    this.canvas.setAttribute('aria-valuetext', `${kimgs(now)} kimg: ${said.join(', ')}`);
  }
}
