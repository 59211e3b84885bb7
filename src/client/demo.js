/* The demo page: a list of uploads, each with its progress, the way that it takes, and its record. */
(function () {
  'use strict';

  var list = document.getElementById('uploads'), spoken = document.getElementById('spoken');
  var options = {};
  // ?way=direct|fallback, ?transport=xhr|iframe and ?profile=NAME, to try each of them.
  ['way', 'transport', 'profile'].forEach(function (name) {
    var found = new RegExp('[?&]' + name + '=(\\w+)').exec(location.search);
    if (found) options[name] = found[1];
  });

  function size(bytes) {
    var units = ['bytes', 'KiB', 'MiB', 'GiB'], unit = 0;
    for (; bytes >= 1024 && unit < 3; unit++) bytes /= 1024;
    return (unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)) + ' ' + units[unit];
  }

  function sizeOf(file) { return file.size === undefined ? '' : size(file.size); } // old browsers know the name only

  function span(seconds) {
    if (seconds < 60) return Math.ceil(seconds) + ' s';
    return seconds < 3600 ? Math.ceil(seconds / 60) + ' min' : (seconds / 3600).toFixed(1) + ' h';
  }

  // What the client gets: the file, or the input itself where a script cannot send a file.
  var choose = document.getElementById('choose'), needsFrame = options.transport === 'iframe' || !window.FormData;
  var needsInput = !('files' in choose) || (needsFrame && !window.DataTransfer);
  if (needsInput) choose.multiple = false;

  function make(tag, name, text) {
    var e = document.createElement(tag);
    if (name) e.className = name;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  function say(text) { spoken.textContent = text; }

  function facts(upload, way) {
    var all = make('dl', 'facts');
    [['Upload', upload.id], ['Size', upload.size + ' bytes'], ['ETag', upload.etag], ['CRC32C', upload.checksum_crc32c], ['Way', way], ['Recorded', upload.completed_at], ['Source', upload.completed_by]].forEach(function (f) {
      if (f[1] === undefined) return;
      all.appendChild(make('dt', '', f[0]));
      all.appendChild(make('dd', '', f[1]));
    });
    return all;
  }

  function show(file, input) {
    document.getElementById('uploads-title').hidden = false;
    var item = make('li'), row = make('div', 'row'), below = make('div', 'row');
    var track = make('div', 'track'), bar = make('div', 'bar');
    var state = make('span', 'tag', 'waiting'), detail = make('span', 'quiet', sizeOf(file)), button = make('button', 'plain', 'Cancel'), pause = make('button', 'plain', 'Pause');
    track.setAttribute('role', 'progressbar');
    track.setAttribute('aria-label', 'Progress of ' + file.name);
    track.setAttribute('aria-valuemin', '0');
    track.setAttribute('aria-valuemax', '100');
    track.setAttribute('aria-valuenow', '0');
    button.type = pause.type = 'button';
    pause.hidden = true; // until the way is one that can go on
    pause.setAttribute('aria-label', 'Pause ' + file.name);
    button.setAttribute('aria-label', 'Cancel ' + file.name);
    row.appendChild(make('span', 'name', file.name));
    row.appendChild(pause);
    row.appendChild(button);
    track.appendChild(bar);
    below.appendChild(state);
    below.appendChild(detail);
    item.appendChild(row);
    item.appendChild(track);
    item.appendChild(below);
    list.insertBefore(item, list.firstChild);

    var began = new Date().getTime(), way = '', why = make('p', 'quiet why'), tenth = 0, isResumed = false, before = 0;
    function progress(part) {
      var percent = Math.floor(part * 100);
      bar.style.width = percent + '%';
      track.setAttribute('aria-valuenow', String(percent));
      if (Math.floor(percent / 25) > tenth) { // a screen reader announces each quarter
        tenth = Math.floor(percent / 25);
        if (percent < 100) say(file.name + ': ' + percent + ' per cent');
      }
    }

    var one = {};
    for (var option in options) one[option] = options[option];
    one.onSigned = function () { state.textContent = 'signed'; };
    one.onWay = function (name, reason, by) {
      pause.hidden = by !== 'multipart' && by !== 'resumable';
      isResumed = /^goes on/.test(reason);
      before = 0;
      var path = name === 'direct' ? 'straight to the store' : 'through this server';
      began = new Date().getTime();
      tenth = 0;
      progress(0);
      state.textContent = 'sending ' + path;
      detail.textContent = sizeOf(file);
      if (reason === 'again') return; // a retry on the same way
      way = path + (reason === 'tried first' ? '' : ': ' + reason);
      why.textContent = 'Sent ' + way + '.';
      item.appendChild(why);
      if (name !== 'direct' && reason !== 'there is no direct upload') say(file.name + ' goes ' + way);
    };
    one.onProgress = function (p) {
      if (isResumed) before = p.loaded; // sent in an earlier life of the page
      isResumed = false;
      var seconds = (new Date().getTime() - began) / 1000, rate = Math.max(1, p.loaded - before) / Math.max(seconds, 0.1);
      progress(p.total ? p.loaded / p.total : 1);
      if (state.textContent === 'waiting') state.textContent = 'sending straight to the store';
      detail.textContent = p.loaded < p.total ? size(p.loaded) + ' of ' + size(p.total) + ' · ' + size(rate) + '/s · ' + span((p.total - p.loaded) / rate) + ' left' : 'waiting for the store to confirm';
    };
    one.onRetry = function (attempt, error) { detail.textContent = error.message + (attempt ? ' Trying again (' + attempt + ').' : ' Waiting.'); };
    one.onComplete = function (upload) {
      progress(1);
      item.className = 'completed';
      state.textContent = 'completed';
      detail.textContent = 'the store has confirmed it';
      if (why.parentNode) item.removeChild(why);
      item.appendChild(facts(upload, way));
      row.removeChild(button);
      row.removeChild(pause);
      say(file.name + ' is completed');
    };
    one.onError = function (error) {
      item.className = 'failed';
      pause.hidden = true;
      state.textContent = error.code === 'cancelled' ? 'cancelled' : 'failed';
      detail.textContent = error.message;
      button.textContent = 'Try again';
      button.setAttribute('aria-label', 'Try ' + file.name + ' again');
      button.onclick = function () {
        var next = item.nextSibling;
        list.removeChild(item);
        show(file, input);
        if (next) list.insertBefore(list.firstChild, next);
        list.querySelector('button:not([hidden])').focus();
      };
      say(file.name + ': ' + error.message);
    };
    var running = Postern.upload(needsInput && input ? input : file, one), isPaused = false;
    button.onclick = running.cancel;
    pause.onclick = function () {
      isPaused = !isPaused;
      pause.textContent = isPaused ? 'Go on' : 'Pause';
      pause.setAttribute('aria-label', pause.textContent + ' with ' + file.name);
      if (isPaused) {
        running.pause();
        state.textContent = 'paused';
      } else {
        running.resume();
        state.textContent = 'waiting';
      }
    };
  }

  function showAll(files, input) {
    if (files) Array.prototype.forEach.call(files, function (f) { show(f, input); });
    else show({ name: input.value.replace(/^.*[\/\\]/, '') }, input);
  }

  var drop = document.getElementById('drop');
  choose.addEventListener('change', function () {
    showAll(choose.files, choose);
    if (!needsInput) choose.value = ''; // then the same file can be chosen again
  });
  ['dragenter', 'dragover'].forEach(function (name) {
    document.addEventListener(name, function (e) {
      e.preventDefault();
      drop.className = 'drop over';
    });
  });
  ['dragleave', 'drop'].forEach(function (name) {
    document.addEventListener(name, function (e) {
      e.preventDefault();
      drop.className = 'drop';
      if (name === 'drop' && e.dataTransfer) showAll(e.dataTransfer.files);
    });
  });
})();
