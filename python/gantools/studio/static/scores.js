// The page Scores: one table of all numbers that there are, sorted by any column, a few of them side by side.

import {$, ask, attempt, el, newest, parameters, replace, say} from './shared.js';

const MOST = 6;
const COLUMNS = [
  ['of', 'Of', false], ['metric', 'Score', false], ['value', 'Value', true], ['low', 'Interval', true], ['kimg', 'kimg', true],
  ['n', 'Images', true], ['group', 'Way', false], ['protocol', 'Protocol', false], ['reference', 'Reference', false],
];
const view = {metric: '', sort: '', down: 0, all: 0, pick: ''};
let rows = [];
let picked = []; // ids, in the order they were chosen

const figure = (value) => (value === null ? 'infinite' : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(3)
  : String(+value.toPrecision(5)));
const whole = (value) => (value === null ? '' : value.toLocaleString('en'));
const range = (row) => (row.low === null ? '' : `${figure(row.low)} to ${figure(row.high)}`);
// Of a fingerprint the beginning tells enough; the whole is in the CSV.
const short = (text) => text.replace(/([0-9a-f]{8})[0-9a-f]{8,}$/, '$1');
const where = (row) => (row.source === 'training' ? [row.best ? 'best' : '', row.last ? 'last' : ''].filter(Boolean).join(', ') || 'training' : row.source);

const CELLS = {
  of: (row) => [row.of, el('small', {className: 'below'}, where(row))],
  metric: (row) => [row.metric, el('small', {className: 'below'}, `${row.better} is better`)],
  value: (row) => [el('strong', {}, figure(row.value))],
  low: (row) => [range(row)],
  kimg: (row) => [row.kimg === null ? '' : String(row.kimg)],
  n: (row) => [whole(row.n)],
  group: (row) => [row.group],
  protocol: (row) => [row.protocol],
  reference: (row) => [el('span', {title: row.reference}, short(row.reference))],
};

function address() {
  const found = new URLSearchParams();
  view.pick = picked.join(',');
  for (const [name, value] of Object.entries(view)) if (value) found.set(name, value);
  replace(found.toString());
}

function sorted(list) {
  if (!view.sort) return list;
  const sign = view.down ? -1 : 1;
  // What has no value is last, either way.
  return list.toSorted((a, b) => {
    const [x, y] = [a[view.sort], b[view.sort]];
    const none = [x, y].map((value) => value === null || value === '');
    if (none[0] || none[1]) return none[0] - none[1];
    return sign * (typeof x === 'number' ? x - y : x.localeCompare(y, 'en', {numeric: true}));
  });
}

/** The columns in which there is something. */
const columns = () => COLUMNS.filter(([name]) => !['group', 'kimg'].includes(name) || rows.some((row) => row[name] !== null && row[name] !== ''));

function head() {
  $('#table thead').replaceChildren(el('tr', {}, el('th', {scope: 'col'}, el('span', {className: 'gone'}, 'Side by side')), ...columns().map(([name, label, numeric]) => {
    const sorting = view.sort === name;
    const cell = el('th', {scope: 'col', className: numeric ? 'n' : ''}, el('button', {type: 'button', className: 'sort', onclick: () => {
      Object.assign(view, {sort: name, down: sorting ? +!view.down : 0});
      show();
      $(`#table th button[data-name=${name}]`).focus();
    }}, label, el('span', {'aria-hidden': 'true'}, sorting ? (view.down ? ' ▼' : ' ▲') : '')));
    if (sorting) cell.setAttribute('aria-sort', view.down ? 'descending' : 'ascending');
    cell.firstChild.dataset.name = name;
    return cell;
  })));
}

function show() {
  head();
  const list = sorted(rows.filter((row) => !view.metric || row.metric === view.metric));
  $('#table tbody').replaceChildren(...list.map((row) => {
    const box = el('input', {type: 'checkbox', checked: picked.includes(row.id), 'aria-label': `${row.of}, ${row.metric}, ${where(row)}: side by side`,
      onchange: () => {
        picked = box.checked ? [...picked, row.id] : picked.filter((id) => id !== row.id);
        if (picked.length > MOST) {
          picked.pop();
          box.checked = false;
          say(`At most ${MOST} go side by side.`, true);
          return;
        }
        compare();
      }});
    return el('tr', {}, el('td', {className: 'pick'}, box), ...columns().map(([name, , numeric]) => el('td', {className: numeric ? 'n' : ''}, ...CELLS[name](row))));
  }));
  $('#empty').hidden = rows.length > 0;
  $('#table').hidden = !rows.length;
  $('#csv').href = `/save/scores.csv${view.all ? '?all=1' : ''}`;
  say(`${list.length.toLocaleString('en')} scores`);
  address();
}

const compare = newest(() => attempt(async () => {
  address();
  const place = $('#beside');
  if (picked.length < 2) {
    place.hidden = true;
    say(picked.length ? 'Choose another one to see both side by side.' : '');
    return;
  }
  const ids = picked.join(',');
  const said = await ask(`/api/scores/beside?${new URLSearchParams({ids})}`);
  if (ids !== picked.join(',')) return;
  const line = (title, cells) => el('tr', {}, el('th', {scope: 'row'}, title), ...said.rows.map((row) => el('td', {}, ...cells(row))));
  $('#compared').replaceChildren(
    el('tr', {}, el('td', {}), ...said.rows.map((row, i) => el('th', {scope: 'col'}, `${i + 1}`))),
    line('Of', CELLS.of), line('Score', CELLS.metric), line('Value', CELLS.value), line('Interval', CELLS.low), line('kimg', CELLS.kimg),
    line('Images', CELLS.n), line('Protocol', CELLS.protocol), line('Reference', (row) => [row.reference]), line('From', (row) => [row.source]));
  $('#reasons').replaceChildren(...(said.warn.length
    ? [el('p', {className: 'note'}, el('strong', {}, 'What differs besides the images: '), el('span', {}, 'look at it before you compare the numbers.'))
      , el('ul', {}, ...said.warn.map((words) => el('li', {}, words)))]
    : [el('p', {}, 'They were measured in the same way: the numbers compare.')]));
  place.hidden = false;
  say(`${said.rows.length} scores side by side`);
}));

const load = () => attempt(async () => {
  const said = await ask(`/api/scores${view.all ? '?all=1' : ''}`);
  rows = said.rows;
  $('#warnings').replaceChildren(...[...said.warn, ...said.notes].map((words) => el('p', {className: 'note'}, words)));
  const metrics = [...new Set(rows.map((row) => row.metric))];
  if (!metrics.includes(view.metric)) view.metric = '';
  $('#metric').replaceChildren(el('option', {value: ''}, 'all'), ...metrics.map((name) => el('option', {value: name}, name)));
  $('#metric').value = view.metric;
  picked = picked.filter((id) => rows.some((row) => row.id === id));
  show();
  $('#stage').dataset.state = 'settled';
  if (picked.length > 1) compare();
});

const found = parameters();
for (const [name, value] of found) if (name in view) view[name] = typeof view[name] === 'number' ? +value : value;
if (!COLUMNS.some(([name]) => name === view.sort)) view.sort = '';
picked = view.pick.split(',').filter(Boolean).slice(0, MOST);
$('#all').checked = Boolean(view.all);
$('#form').addEventListener('submit', (event) => event.preventDefault());
$('#metric').addEventListener('change', () => { view.metric = $('#metric').value; show(); });
$('#all').addEventListener('change', () => { view.all = +$('#all').checked; load(); });
load();
