  // The line: what this page knows about its network. All uploads of the page share it.

  var line = {
    moved: {},    // by origin: when an upload of this page last sent bytes there
    reached: {},  // by origin: true once a request was answered, so that a later silence is a break of the network and no wrong address
    waiting: []   // functions to call when the network comes back
  };

  line.isOff = function () {
    return !!root.navigator && root.navigator.onLine === false;
  };

  // Calls `back` after `ms`, or soon after the browser says that it is online again. While the browser says that it is offline,
  // `ms` is stretched. Returns a function that cancels the wait.
  line.wait = function (ms, back) {
    var timer;
    function done() {
      cancel();
      back();
    }
    function cancel() {
      clearTimeout(timer);
      for (var i = line.waiting.length - 1; i >= 0; i--) if (line.waiting[i] === done) line.waiting.splice(i, 1);
    }
    timer = setTimeout(done, line.isOff() ? Math.max(ms, 30000) : ms);
    line.waiting.push(done);
    return cancel;
  };

  if (root.addEventListener && root.document) root.addEventListener('online', function () {
    var all = line.waiting.slice();
    for (var i = 0; i < all.length; i++) setTimeout(all[i], Math.random() * 500);
  }, false);

  // Whether an unanswered request to Postern means that the network is away, and not that this page may not call that address.
  line.isBroken = function (url) {
    return line.isOff() || !!line.reached[originOf(url)];
  };

  // Stores whose direct uploads failed. For a while, further files do not try them.
  var directFailures = {}; // by way and address of the store: { until: a time, why: a sentence }

  function rememberFailure(store, why, ms) {
    directFailures[store] = { until: now() + ms, why: why };
  }

  function recentFailure(store) {
    var failed = directFailures[store];
    return failed && now() < failed.until ? failed : null;
  }
