// Show the panel of the tab that is chosen.
const tabs = [...document.querySelectorAll("[role=tab]")];
for (const tab of tabs)
  tab.onclick = () => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", each === tab);
      document.getElementById(each.getAttribute("aria-controls")).hidden = each !== tab;
    }
    document.dispatchEvent(new Event("shown"));
  };
