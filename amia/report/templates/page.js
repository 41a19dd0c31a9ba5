(() => {
  "use strict";

  // Sorts posts by theta, loss or cosine. The initial order is by theta, with headings.
  const list = document.querySelector("[data-sortable]");
  if (list) {
    const tools = document.querySelector(".tools");
    const jump = document.querySelector(".jump");
    const status = tools.querySelector("[role=status]");
    const buttons = [...tools.querySelectorAll("[data-sort]")];
    const initialItems = [...list.children];
    let key = "theta";
    let ascending = true;

    const sortPosts = () => {
      const grouped = key === "theta" && ascending;
      const number = (item) => (item.dataset[key] === "" ? NaN : Number(item.dataset[key]));
      const posts = initialItems.filter((item) => !item.classList.contains("group"));
      const order = (a, b) => {
        const [left, right] = [number(a), number(b)];
        if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
        return ascending ? left - right : right - left;
      };
      jump.hidden = !grouped;
      list.replaceChildren(...(grouped ? initialItems : posts.sort(order)));
      for (const button of buttons) {
        const pressed = button.dataset.sort === key;
        button.setAttribute("aria-pressed", String(pressed));
        button.querySelector(".arrow").textContent = pressed ? (ascending ? " ↑" : " ↓") : "";
      }
      status.textContent = `sorted by ${key}, ${ascending ? "lowest" : "highest"} first`;
    };

    for (const button of buttons) {
      button.addEventListener("click", () => {
        ascending = button.dataset.sort === key ? !ascending : true;
        key = button.dataset.sort;
        sortPosts();
      });
    }
    tools.hidden = false;
  }

  // Marks the current section in the navigation.
  const links = new Map([...document.querySelectorAll(".nav a")].map((link) => [link.hash.slice(1), link]));
  const bar = document.querySelector(".nav ul");
  const observer = new IntersectionObserver(
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
  for (const section of document.querySelectorAll("main > section")) observer.observe(section);

  // Opens all details before printing.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
