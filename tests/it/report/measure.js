// Runs in a copy of the page and tells its parent what is wrong with the layout: what leaves its place,
// what lies on something else, what can hardly be read. It looks at every text there is.
addEventListener('load', () => {
  const wrong = [];
  const say = (what, element) => wrong.push(what + ': ' + (element.textContent || element.nodeName).trim().slice(0, 60));
  document.querySelectorAll('details').forEach((it) => { it.open = true; });
  const page = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > page) wrong.push('the page scrolls sideways');
  const shown = (rect) => rect.width > 0 && rect.height > 0;

  let texts = 0;
  const rgb = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const light = (color) => {
    const [r, g, b] = rgb(color).map((it) => it / 255).map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = getComputedStyle(it).backgroundColor;
      if (rgb(color)[3] !== 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const legible = (element, color) => {
    const [a, b] = [light(color), light(ground(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) say('little contrast', element);
  };

  for (const svg of document.querySelectorAll('svg')) {
    if (svg.parentElement.closest('svg')) continue;
    const frame = svg.getBoundingClientRect();
    const own = [...svg.querySelectorAll('text')].map((it) => [it, it.getBoundingClientRect()]).filter(([, it]) => shown(it));
    for (const [text, it] of own) {
      texts += 1;
      if (it.left < frame.left - 1 || it.right > frame.right + 1) say('leaves its drawing sideways', text);
      if (it.top < frame.top - 1 || it.bottom > frame.bottom + 1) say('leaves its drawing', text);
      if (it.height < 11 || it.height > 18) say('is ' + it.height + ' pixels high', text);
      legible(text, getComputedStyle(text).fill);
    }
    own.forEach(([a, x], nth) => own.slice(nth + 1).forEach(([b, y]) => {
      const wide = Math.min(x.right, y.right) - Math.max(x.left, y.left);
      const high = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
      if (wide > 1 && high > 4) say('lies on ' + b.textContent, a);
    }));
    const place = svg.parentElement.getBoundingClientRect();
    if (shown(frame) && (frame.left < place.left - 1 || frame.right > place.right + 1)) say('is wider than its place', svg);
  }

  const range = document.createRange();
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('svg,script,style')) continue;
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || !node.data.trim()) continue;
      range.selectNodeContents(node);
      const rects = [...range.getClientRects()].filter(shown);
      if (rects.length === 0) continue;
      texts += 1;
      legible(element, getComputedStyle(element).color);
      // A wide table may be scrolled in its own place, and its cells do not lie on each other.
      const cell = element.closest('td,th');
      const place = cell || element.closest('.scroll,.card,body');
      const frame = place.getBoundingClientRect();
      if (rects.some((it) => it.left < frame.left - 1 || it.right > frame.right + 1)) say('leaves its place', element);
      if (!element.closest('.scroll') && rects.some((it) => it.left < 0 || it.right > page)) say('leaves the page', element);
    }
  }
  const foreign = document.querySelectorAll('img,iframe,object,embed,link,form,audio,video,base,foreignObject,use,[onload],[onerror],[onclick]').length
    + document.scripts.length - 1;
  parent.postMessage({ width: innerWidth, texts, foreign, wrong, title: document.title }, '*');
});
