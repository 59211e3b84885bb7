  // The queue: at most FILES_AT_ONCE files of this page are on their way, the others wait in their order.

  var FILES_AT_ONCE = 3;
  var queue = { running: [], waiting: [] };

  function without(list, one) {
    for (var i = list.length - 1; i >= 0; i--) if (list[i] === one) list.splice(i, 1);
  }

  queue.enter = function (upload) {
    queue.waiting.push(upload);
    queue.next();
  };

  // The upload has ended, is paused, or has sent all of its bytes.
  queue.leave = function (upload) {
    without(queue.running, upload);
    without(queue.waiting, upload);
    queue.next();
  };

  queue.next = function () {
    while (queue.running.length < FILES_AT_ONCE && queue.waiting.length) {
      var upload = queue.waiting.shift();
      queue.running.push(upload);
      setTimeout(starter(upload), 0);
    }
  };

  function starter(upload) {
    return function () {
      for (var i = 0; i < queue.running.length; i++) if (queue.running[i] === upload && !upload.over && !upload.isPaused) return upload.start();
    };
  }
