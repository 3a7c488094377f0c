// Before the first paint: the theme this person chose, if they chose one.
(function () {
  "use strict";
  try {
    var chosen = localStorage.getItem("millpond-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch (e) { /* storage is closed to us: the system's preference rules */ }
})();
