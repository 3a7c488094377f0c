// What the pages gain with scripts: relative times, copying, theme, graphs.
(function () {
  "use strict";

  // ---- times -------------------------------------------------------------
  var units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  function relative(seconds) {
    var ahead = seconds < 0, left = Math.abs(seconds);
    if (left < 2) return ahead ? "in a moment" : "just now";
    for (var i = 0; i < units.length; i++) {
      if (left >= units[i][0]) {
        var text = Math.floor(left / units[i][0]) + " " + units[i][1];
        return ahead ? "in " + text : text + " ago";
      }
    }
    return "";
  }
  function tellTimes() {
    var now = Date.now();
    document.querySelectorAll("time[datetime]").forEach(function (element) {
      var text = relative((now - Date.parse(element.dateTime)) / 1000);
      if (element.textContent !== text) element.textContent = text;
    });
  }

  // ---- copying -----------------------------------------------------------
  function announce(text) {
    var place = document.getElementById("announce");
    if (place) place.textContent = text;
  }
  function copy(button) {
    navigator.clipboard.writeText(button.dataset.copy).then(function () {
      button.classList.add("done");
      announce("Copied");
      setTimeout(function () { button.classList.remove("done"); }, 1600);
    }, function () { announce("Copying is not allowed here"); });
  }
  function showControls() {
    document.querySelectorAll("[data-copy][hidden]").forEach(function (button) {
      button.hidden = !(navigator.clipboard && window.isSecureContext);
    });
  }

  // ---- theme -------------------------------------------------------------
  function isDark() {
    var chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
  }
  function switchTheme() {
    var theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("millpond-theme", theme); } catch (e) { /* for this page only */ }
    graphs.forEach(function (graph) { graph.draw(); });
  }

  // ---- graphs ------------------------------------------------------------
  var prefixes = ["", "k", "M", "G", "T", "P", "E", "Z"];
  function hashrate(value) {
    if (value === null || value === undefined) return "–";
    var step = 0;
    while (value >= 999.5 && step < prefixes.length - 1) { value /= 1000; step += 1; }
    var digits = value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return value.toFixed(digits) + " " + prefixes[step] + "H/s";
  }
  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }
  function short(value) {
    if (value === null || value === undefined) return "–";
    var step = 0;
    while (value >= 999.5 && step < 4) { value /= 1000; step += 1; }
    return Number(value.toPrecision(3)) + prefixes[step];
  }
  function rate(value) {
    if (value === null || value === undefined) return "–";
    return (value >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3))) + " %";
  }
  // What a graph can show of a point, and how it reads.
  var fields = {
    hashrate: { of: function (point) { return point.hashrate; }, text: hashrate },
    tvl: { of: function (point) { return Number(point.tvl.amount); }, text: short },
    apr: { of: function (point) { return point.apr === null ? null : Number(point.apr) * 100; }, text: rate }
  };
  var graphs = [];

  function Graph(figure) {
    this.figure = figure;
    this.field = fields[figure.dataset.field || "hashrate"];
    this.place = figure.querySelector(".plot");
    this.note = figure.querySelector("[data-graph-note]");
    this.window = "24h";
    this.etag = null;
    this.data = null;
    this.plot = null;
    var self = this;
    new ResizeObserver(function () {
      if (self.plot) self.plot.setSize({ width: self.place.clientWidth, height: self.place.clientHeight });
    }).observe(this.place);
  }
  Graph.prototype.load = function () {
    var self = this, wanted = this.window;
    var headers = this.etag ? { "If-None-Match": this.etag } : {};
    return fetch(this.figure.dataset.graph + "?window=" + wanted, { headers: headers, cache: "no-store" })
      .then(function (answer) {
        if (answer.status === 304 || wanted !== self.window) return null;
        if (!answer.ok) throw new Error("status " + answer.status);
        self.etag = answer.headers.get("ETag");
        return answer.json();
      })
      .then(function (series) {
        if (!series) return;
        self.series = series;
        self.show();
      })
      .catch(function () { self.note.textContent = "The graph could not be loaded; it will be tried again."; });
  };
  Graph.prototype.show = function () {
    var series = this.series, field = this.field;
    if (!series) return;
    this.data = [
      series.points.map(function (point) { return Date.parse(point.at) / 1000; }),
      series.points.map(field.of)
    ];
    var top = Math.max.apply(null, this.data[1].concat(0));
    this.note.textContent = series.points.length > 1
      ? "Highest " + field.text(top) + ", slices of " + Math.round(series.step_s / 60) + " min."
      : this.note.dataset.empty;
    this.draw();
  };
  Graph.prototype.chooseField = function (name) {
    this.field = fields[name];
    this.show();
  };
  Graph.prototype.choose = function (name) {
    this.window = name;
    this.etag = null;
    return this.load();
  };
  Graph.prototype.draw = function () {
    if (!this.data || this.data[0].length < 2) return;
    if (this.plot) this.plot.destroy();
    var still = this.place.querySelector(".still");
    if (still) still.remove();
    this.plot = new uPlot(this.options(), this.data, this.place);
  };
  Graph.prototype.options = function () {
    var accent = color("--accent"), muted = color("--muted"), line = color("--line");
    var tip = this.place.querySelector(".tip") || document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    this.place.appendChild(tip);
    var text = this.field.text;
    var axis = { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      width: this.place.clientWidth,
      height: this.place.clientHeight,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8, fill: accent, stroke: accent } },
      scales: { y: { range: function (u, min, max) { return [0, max > 0 ? max * 1.12 : 1]; } } },
      axes: [
        Object.assign({}, axis, {
          grid: { show: false },
          space: 70,
          values: [
            [86400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
            [3600, "{HH}:{mm}", "\n{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
            [1, "{HH}:{mm}", null, null, null, null, null, null, 1]
          ]
        }),
        Object.assign({}, axis, { size: 78, space: 44, values: function (u, ticks) { return ticks.map(text); } })
      ],
      series: [{}, {
        stroke: accent, width: 2, points: { show: false },
        fill: function (u) {
          var shade = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
          shade.addColorStop(0, accent + "50");
          shade.addColorStop(1, accent + "00");
          return shade;
        }
      }],
      hooks: { setCursor: [function (u) {
        var index = u.cursor.idx;
        tip.hidden = index === null || index === undefined || u.cursor.left < 0;
        if (!tip.hidden) {
          tip.textContent = new Date(u.data[0][index] * 1000).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }) + "  " + text(u.data[1][index]);
        }
      }] }
    };
  };

  // ---- live --------------------------------------------------------------
  var known = null;
  function markNew() {
    var ids = new Set();
    document.querySelectorAll("#blocks-body tr[id], #payouts-body tr[id]").forEach(function (row) {
      ids.add(row.id);
      if (known && !known.has(row.id)) row.classList.add("fresh");
    });
    known = ids;
  }
  function afterSwap() {
    tellTimes();
    showControls();
    markNew();
  }

  function start() {
    // What a person has opened stays open when the part around it is brought up to date.
    if (window.htmx && "keepOpen" in document.body.dataset) htmx.config.morphIgnore.push("open");
    document.querySelectorAll("[data-theme-toggle]").forEach(function (button) {
      button.hidden = false;
      button.addEventListener("click", switchTheme);
    });
    document.addEventListener("click", function (event) {
      var button = event.target.closest("[data-copy]");
      if (button) copy(button);
    });
    document.querySelectorAll("[data-graph]").forEach(function (figure) {
      var graph = new Graph(figure);
      graphs.push(graph);
      document.querySelectorAll('[data-graph-switch="' + figure.id + '"]').forEach(function (bar) {
        bar.hidden = false;
        bar.addEventListener("click", function (event) {
          var button = event.target.closest("[data-window], [data-field]");
          if (!button) return;
          bar.querySelectorAll("button").forEach(function (each) {
            each.setAttribute("aria-pressed", String(each === button));
          });
          if (button.dataset.window) graph.choose(button.dataset.window);
          else graph.chooseField(button.dataset.field);
        });
      });
      graph.load();
    });
    setInterval(function () {
      if (!document.hidden) graphs.forEach(function (graph) { graph.load(); });
    }, 15000);
    setInterval(tellTimes, 1000);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", function () {
      graphs.forEach(function (graph) { graph.draw(); });
    });
    document.addEventListener("htmx:after:swap", afterSwap);
    document.addEventListener("htmx:sse:after:message", afterSwap);
    afterSwap();
  }
  start();
})();
