// Before the page is drawn, so that it never flashes in the other colours. Without a choice, the system's holds.
{
  const root = document.documentElement;
  const stored = (() => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is off
    }
  })();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      root.dataset.theme = now === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("theme", root.dataset.theme);
      } catch {
        // then it holds until the page is left
      }
    });
  });
}
