(() => {
  "use strict";

  // Posts by theta, loss or cosine. In the order that the page came in, tenths of theta have their headings.
  const list = document.querySelector("[data-sortable]");
  if (list) {
    const tools = document.querySelector(".tools");
    const jump = document.querySelector(".jump");
    const status = tools.querySelector("[role=status]");
    const buttons = [...tools.querySelectorAll("[data-sort]")];
    const asCame = [...list.children];
    let key = "theta";
    let rising = true;

    const arrange = () => {
      const banded = key === "theta" && rising;
      const number = (item) => (item.dataset[key] === "" ? NaN : Number(item.dataset[key]));
      const posts = asCame.filter((item) => !item.classList.contains("band"));
      const order = (a, b) => {
        const [left, right] = [number(a), number(b)];
        if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
        return rising ? left - right : right - left;
      };
      jump.hidden = !banded;
      list.replaceChildren(...(banded ? asCame : posts.sort(order)));
      for (const button of buttons) {
        const chosen = button.dataset.sort === key;
        button.setAttribute("aria-pressed", String(chosen));
        button.querySelector(".arrow").textContent = chosen ? (rising ? " ↑" : " ↓") : "";
      }
      status.textContent = `sorted by ${key}, ${rising ? "lowest" : "highest"} first`;
    };

    for (const button of buttons) {
      button.addEventListener("click", () => {
        rising = button.dataset.sort === key ? !rising : true;
        key = button.dataset.sort;
        arrange();
      });
    }
    tools.hidden = false;
  }

  // The navigation says where one is.
  const links = new Map([...document.querySelectorAll(".nav a")].map((link) => [link.hash.slice(1), link]));
  const bar = document.querySelector(".nav ul");
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const link = links.get(entry.target.id);
        if (!entry.isIntersecting) {
          link.removeAttribute("aria-current");
          continue;
        }
        link.setAttribute("aria-current", "true");
        const middle = link.offsetLeft - (bar.clientWidth - link.offsetWidth) / 2;
        bar.scrollTo({ left: middle });
      }
    },
    { rootMargin: "-20% 0px -79% 0px" },
  );
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
})();
